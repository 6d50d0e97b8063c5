// A machine of a simulated world as a process on it sees it: its loop and its disk.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <kj/async.h>

#include "rpc/loop.h"
#include "server/disk.h"
#include "tests/simulation/network.h"
#include "tests/simulation/world.h"

namespace grapevine::simulation {

// A machine's clocks. Its time of day may be wrong and may jump. Resource; the world must outlive it.
class MachineTime final : public TimeSource {
 public:
  explicit MachineTime(const World& world) : world_(world) {}
  Instant now() const override { return world_.now(); }
  WallTime wall_now() const override {
    using std::chrono::milliseconds;
    const auto since_start = world_.now().since_start + wrong_by_;
    return {World::kStartUnixMs + std::chrono::duration_cast<milliseconds>(since_start).count()};
  }
  void set_wrong_by(Duration by) { wrong_by_ = by; }

 private:
  const World& world_;
  Duration wrong_by_{0};
};

// The loop of one process. Resource; world, network and time must outlive it. When it goes, nothing
// that was posted or is to ring happens any more.
class SimulatedLoop final : public rpc::Loop, private kj::TaskSet::ErrorHandler {
 public:
  SimulatedLoop(World& world, Network& network, const MachineTime& time, const std::string& host,
                const std::string& process_name)
      : world_(world),
        time_(time),
        process_(std::make_shared<Process>(Process{process_name, false, {}})),
        network_(network.view_of(host, process_)) {}
  ~SimulatedLoop() noexcept { process_->gone = true; }
  SimulatedLoop(const SimulatedLoop&) = delete;
  SimulatedLoop& operator=(const SimulatedLoop&) = delete;

  void post(absl::AnyInvocable<void()> function) override;
  void spawn(kj::Promise<void> task) override { tasks_.add(kj::mv(task)); }
  const TimeSource& time() const override { return time_; }
  kj::Promise<void> after(Duration delay) override;
  rpc::Network& network() override { return *network_; }

  const ProcessPointer& process() const { return process_; }
  World& world() { return world_; }

 private:
  void taskFailed(kj::Exception&& exception) override;

  World& world_;
  const TimeSource& time_;
  const ProcessPointer process_;
  const std::unique_ptr<rpc::Network> network_;
  std::deque<absl::AnyInvocable<void()>> posted_;
  kj::TaskSet tasks_{*this};
};

// How long works on a disk take. Value.
struct DiskSpeed {
  Duration work_min = std::chrono::microseconds(100);
  Duration work_max = std::chrono::microseconds(600);
};

// The works of one store, done on the loop's own thread when their time has come. Resource.
class SimulatedDisk final : public server::Disk {
 public:
  SimulatedDisk(SimulatedLoop& loop, const DiskSpeed& speed, std::uint64_t seed)
      : loop_(loop), speed_(speed), random_(seed) {}
  ~SimulatedDisk() noexcept override { *alive_ = false; }

  void run(std::function<void()> work, std::function<void()> done) override;
  void run_read(std::function<void()> work, std::function<void()> done) override;
  bool idle() const override { return unreported_ == 0; }
  kj::Promise<void> when_idle() override;

 private:
  void begin(Instant when, std::function<void()> work, std::function<void()> done);

  SimulatedLoop& loop_;
  const DiskSpeed& speed_;
  Random random_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Instant written_;  // when the last work of run() is done
  struct Work {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::map<std::uint64_t, Work> works_;  // in the order in which they were asked for
  std::uint64_t last_number_ = 0;
  std::size_t unreported_ = 0;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> wants_idle_;
};

}  // namespace grapevine::simulation
