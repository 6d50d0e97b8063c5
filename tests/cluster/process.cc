#include "tests/cluster/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "storage/base/check.h"

namespace grapevine::cluster_test {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    GRAPEVINE_CHECK(pipe2(ends, O_CLOEXEC) == 0, "tests need pipes");
    read_end = ends[0];
    write_end = ends[1];
  }
  void close_read() { close_once(read_end); }
  void close_write() { close_once(write_end); }
  ~Pipe() {
    close_read();
    close_write();
  }
  static void close_once(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
  int read_end = -1;
  int write_end = -1;
};

// Standard input, output and error of the child; -1: /dev/null.
pid_t start(const std::vector<std::string>& command, int network, int in, int out, int err) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  GRAPEVINE_CHECK(pid >= 0, "tests need processes");
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // whatever becomes of the test
  if (network != kOwnNetwork && setns(network, CLONE_NEWNET) != 0) _exit(126);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(in >= 0 ? in : null, STDIN_FILENO);
  dup2(out >= 0 ? out : null, STDOUT_FILENO);
  dup2(err >= 0 ? err : null, STDERR_FILENO);
  execv(arguments[0], arguments.data());
  _exit(127);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Process::Process(const std::vector<std::string>& command, int network) {
  Pipe err;
  pid_ = start(command, network, -1, -1, err.write_end);
  reader_ = std::thread([this, from = std::exchange(err.read_end, -1)] { read(from); });
}

Process::~Process() {
  if (!ended_) {
    signal(SIGKILL);
    wait();
  }
  reader_.join();
}

void Process::signal(int number) const {
  kill(pid_, number);
}

int Process::wait() {
  if (!ended_) exit_code_ = wait_for(pid_);
  ended_ = true;
  return exit_code_;
}

void Process::read(int from) {
  std::string partial;
  char piece[4096];
  ssize_t count = 0;
  while ((count = ::read(from, piece, sizeof piece)) > 0 || (count < 0 && errno == EINTR)) {
    if (count < 0) continue;
    partial.append(piece, static_cast<std::size_t>(count));
    const std::lock_guard lock(mutex_);
    for (std::size_t end = 0; (end = partial.find('\n')) != std::string::npos;) {
      lines_.push_back(partial.substr(0, end));
      partial.erase(0, end + 1);
    }
    changed_.notify_all();
  }
  close(from);
  const std::lock_guard lock(mutex_);
  if (!partial.empty()) lines_.push_back(partial);
  closed_ = true;
  changed_.notify_all();
}

bool Process::wait_for_line(std::string_view part, std::chrono::seconds at_most) const {
  std::size_t seen = 0;
  bool found = false;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, at_most, [&] {
    for (; seen < lines_.size() && !found; ++seen) {
      found = lines_[seen].find(part) != std::string::npos;
    }
    return found || closed_;
  });
  return found;
}

void Process::wait_for_more_than(std::size_t count, std::chrono::seconds at_most) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, at_most, [&] { return lines_.size() > count || closed_; });
}

bool Process::wait_for_end_of_log(std::chrono::seconds at_most) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, at_most, [&] { return closed_; });
}

std::vector<std::string> Process::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

std::string Process::log() const {
  std::string all;
  for (const std::string& line : lines()) all += line + "\n";
  return all;
}

Finished run(const std::vector<std::string>& command, std::string_view input,
             std::chrono::seconds at_most, int network) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe in;
  Pipe out;
  Pipe err;
  const pid_t pid = start(command, network, in.read_end, out.write_end, err.write_end);
  in.close_read();
  out.close_write();
  err.close_write();
  Finished finished;
  const auto end = std::chrono::steady_clock::now() + at_most;
  while (out.read_end >= 0 || err.read_end >= 0) {
    if (input.empty()) in.close_write();
    pollfd polled[] = {
        {out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}, {in.write_end, POLLOUT, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      kill(pid, SIGKILL);
      break;
    }
    poll(polled, 3, static_cast<int>(left.count()));
    const auto take = [](const pollfd& ready, int& from, std::string& to) {
      if (from < 0 || ready.revents == 0) return;
      char piece[65536];
      const ssize_t count = ::read(from, piece, sizeof piece);
      if (count > 0) {
        to.append(piece, static_cast<std::size_t>(count));
      } else {
        Pipe::close_once(from);
      }
    };
    take(polled[0], out.read_end, finished.out);
    take(polled[1], err.read_end, finished.err);
    if (in.write_end >= 0 && polled[2].revents != 0) {
      const ssize_t count =
          ::write(in.write_end, input.data(), std::min<std::size_t>(input.size(), 4096));
      input.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : input.size());
    }
  }
  finished.exit_code = wait_for(pid);
  return finished;
}

}  // namespace grapevine::cluster_test
