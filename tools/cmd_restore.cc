// grapevine restore BACKUP-DIR --data-dir DIR [--backup ID] [--new-node]
//
// It is grapevined that knows what a data directory is: this runs the one beside it.
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tools/command.h"

namespace grapevine::tools {
namespace {

struct RestoreFlags {
  std::string backup_directory;
  std::string data_directory;
  std::uint32_t number = 0;  // 0: the newest
  bool new_node = false;
};

// The exit code of the program, which speaks for itself.
ExitCode run_program(const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t process = 0;
  if (const int error =
          posix_spawn(&process, program.c_str(), nullptr, nullptr, argv.data(), environ);
      error != 0) {
    return fail(ExitCode::kUsage, fmt::format("{}: cannot be run ({}); it is installed beside this "
                                              "program",
                                              program, std::strerror(error)));
  }
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return static_cast<ExitCode>(WEXITSTATUS(status));
  return fail(ExitCode::kUnreachable,
              fmt::format("{}: ended by signal {}; empty the data directory and try again", program,
                          WTERMSIG(status)));
}

ExitCode restore(const RestoreFlags& flags) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return fail(ExitCode::kUsage, fmt::format("cannot tell where this program lies ({}); run "
                                              "grapevined --restore",
                                              error.message()));
  }
  std::vector<std::string> arguments{"--restore", flags.backup_directory, "--data-dir",
                                     flags.data_directory};
  if (flags.number > 0)
    arguments.insert(arguments.end(), {"--backup", std::to_string(flags.number)});
  if (flags.new_node) arguments.emplace_back("--new-node");
  return run_program(self.parent_path() / "grapevined", arguments);
}

}  // namespace

void add_restore(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand(
      "restore", "Make a data directory from a backup, on this machine, and check it");
  command->footer(
      "Start grapevined in it afterwards: it goes on as the node that was backed up, whose lost "
      "disk it "
      "replaces,\n"
      "and gets from its peers what was written since. That node must not run any more. Exit "
      "codes: 0 "
      "done; 1 no\n"
      "such backup, or damaged; 3 disk full or unreadable; 4 the directory is not empty, or no "
      "backups are there.");
  const auto flags = std::make_shared<RestoreFlags>();
  command
      ->add_option("BACKUP-DIR", flags->backup_directory,
                   "DIR/NODE-ID, as `backup DIR` has made it")
      ->required();
  command->add_option("--data-dir", flags->data_directory, "empty, or made")->required();
  command->add_option("--backup", flags->number, "its number [the newest]")
      ->type_name("ID")
      ->check(CLI::Range(1U, ~0U));
  command->add_flag("--new-node", flags->new_node,
                    "give the directory a node id of its own, that knows no member: a copy");
  command->callback([&invocation, flags] { invocation.code = restore(*flags); });
}

}  // namespace grapevine::tools
