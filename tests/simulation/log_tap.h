// What the nodes of a simulated world log becomes part of its trace.
#pragma once

#include <memory>
#include <string_view>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "tests/simulation/world.h"

namespace grapevine::simulation {

// Resource: the process's default logger while it lives. RocksDB's thread may log, too; that is left
// out, for it has no place in time.
class LogTap {
 public:
  LogTap(World& world, bool wanted) : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>("simulation", std::make_shared<Sink>(world));
    logger->set_level(wanted ? spdlog::level::debug : spdlog::level::off);
    spdlog::set_default_logger(std::move(logger));
  }
  ~LogTap() { spdlog::set_default_logger(before_); }
  LogTap(const LogTap&) = delete;
  LogTap& operator=(const LogTap&) = delete;

 private:
  class Sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
   public:
    explicit Sink(World& world) : world_(world) {}

   private:
    void sink_it_(const spdlog::details::log_msg& message) override {
      world_.say({message.payload.data(), message.payload.size()});
    }
    void flush_() override {}

    World& world_;
  };

  std::shared_ptr<spdlog::logger> before_;
};

}  // namespace grapevine::simulation
