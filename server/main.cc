// grapevined: one node, as a process.
#include <linux/close_range.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <asio/signal_set.hpp>

#include "rpc/asio_loop.h"
#include "rpc/errors.h"
#include "server/config.h"
#include "server/node.h"
#include "server/offline.h"
#include "storage/base/version.h"

namespace grapevine::server {
namespace {

void log_to_stderr(const std::string& level) {
  auto logger = spdlog::stderr_logger_st("grapevined");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

int cannot_start(const absl::Status& status) {
  std::fprintf(stderr, "grapevined: %s\n", std::string(text_of(status)).c_str());
  return 1;
}

// The same program with the same arguments, as the same process. Not again and again: a disk that
// keeps failing is the operator's.
void start_anew(const char* const* argv, std::chrono::steady_clock::time_point began) {
  constexpr const char* kCount = "GRAPEVINE_STARTED_ANEW";
  constexpr int kMax = 3;
  constexpr auto kInARow = std::chrono::minutes(10);  // of one start and the next
  const char* const before = std::getenv(kCount);
  const bool in_a_row = std::chrono::steady_clock::now() - began < kInARow;
  const int count = before == nullptr || !in_a_row ? 1 : std::atoi(before) + 1;
  if (count > kMax) {
    std::fprintf(stderr, "grapevined: the disk failed %d times in a row: check it\n", kMax + 1);
    return;
  }
  ::setenv(kCount, std::to_string(count).c_str(), 1);
  // Ports and files are the next one's to open.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execv("/proc/self/exe", const_cast<char* const*>(argv));
  std::perror("grapevined: starting anew");
}

int serve(const Config& config, const char* const* argv) {
  log_to_stderr(config.log_level);
  rpc::AsioLoop loop([](const absl::Status& status) { spdlog::error("{}", text_of(status)); });
  const auto began = std::chrono::steady_clock::now();
  auto node = Node::start(loop, config, real_machine([argv, began] { start_anew(argv, began); }));
  if (!node.ok()) return cannot_start(node.status());
  absl::Status opened;
  loop.post([&] {
    loop.spawn((*node)->opened().then([&](absl::Status status) {
      if (status.ok() || absl::IsCancelled(status)) return;  // open, or stopping
      opened = std::move(status);
      loop.stop();
    }));
  });
  bool stopping = false;
  const auto stop = [&] {
    if (std::exchange(stopping, true)) return;
    loop.spawn((*node)->stop().then([&] { loop.stop(); }));
  };
  absl::Status ended;
  loop.post([&] {
    loop.spawn((*node)->ended().then([&](absl::Status status) {
      ended = std::move(status);
      if (!ended.ok()) spdlog::error("{}", text_of(ended));
      stop();
    }));
  });
  asio::signal_set signals(loop.io(), SIGTERM, SIGINT);
  signals.async_wait([&](const std::error_code& error, int signal) {
    if (error) return;
    spdlog::info("signal {}", signal);
    // KJ's promises are begun in a turn of its own loop.
    loop.post(stop);
  });
  loop.run();
  node->reset();
  if (!opened.ok()) return cannot_start(opened);
  return ended.ok() ? 0 : 1;
}

int main_of_grapevined(int argc, const char* const* argv) {
  auto parsed = parse_command_line(argc, argv);
  if (const auto* exit = std::get_if<Exit>(&parsed)) {
    std::fputs(exit->text.c_str(), exit->status == 0 ? stdout : stderr);
    return exit->status;
  }
  const CommandLine& line = std::get<CommandLine>(parsed);
  switch (line.task) {
    case Task::kServe: break;
    case Task::kCheckConfig: std::puts("configuration ok"); return 0;
    case Task::kVerify: return verify(line.config.data_dir);
    case Task::kRestore: return restore(line);
  }
  return serve(line.config, argv);
}

}  // namespace
}  // namespace grapevine::server

int main(int argc, char** argv) {
  return grapevine::server::main_of_grapevined(argc, argv);
}
