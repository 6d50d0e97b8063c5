// What run.cc, misfortunes.cc, comings_and_goings.cc, crashes.cc and events.cc share: one simulated
// cluster from its forming to its end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/log_tap.h"
#include "tests/simulation/records.h"
#include "tests/simulation/run.h"
#include "tests/simulation/simulated_client.h"
#include "tests/simulation/simulated_node.h"

namespace grapevine::simulation {

// Resource.
class Run {
 public:
  explicit Run(const RunOptions& options);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  RunResult go();

 private:
  // A kind of misfortune: adding one is adding a row and a function.
  struct Fault {
    unsigned weight;
    void (Run::*happen)();
  };
  static const std::vector<Fault>& all_faults();

  void kill();
  void lose_power();
  void stop_and_start();
  void freeze();
  void cut_one_way();
  void split();
  void isolate();
  void flap();
  void worsen_network();
  void slow_a_disk();
  void jump_a_clock();
  void back_up();
  void restore();
  void forget_dot_logs();
  void fail_reads();
  void damage();
  void fill_a_disk();
  void burst();
  void crowd();
  void make_backup();
  void crash_while_opening();
  void crash_in_a_pull();
  void join();
  void leave();
  void bury();
  void replace();

  void make_nodes();
  void make_clients();
  void schedule_fault();
  void start_later(SimulatedNode& node, Duration pause);
  void on_ended(SimulatedNode& node, const absl::Status& status, bool opening);
  bool all_others_serve(const SimulatedNode& node) const;
  void forgive_what_it_alone_had(const SimulatedNode& node);
  void probe();
  void compare_two();
  void heal();
  std::string busy_because(const SimulatedNode& node) const;
  void await_idle();
  std::string not_equal_because() const;
  void say_contents(const SimulatedNode& node, PartitionId partition);
  void check_end();
  std::size_t heap_at_rest();
  void broken(const std::string& what);
  bool is_over() const { return broken_.has_value(); }
  // ---- events that are told to everybody (events.cc) ----
  void tell_events();
  void tell_an_event();
  std::string not_told_because() const;

  // ---- crashes in the middle of something, and backups (crashes.cc) ----
  void settle();
  void stop_soon(SimulatedNode& node, const std::string& directory, std::uint64_t changes,
                 const std::string& what, std::uint64_t& count);
  void forget_doomed();
  void crash(SimulatedNode& node, const std::string& what);
  void on_backed_up(SimulatedNode& node, const absl::Status& status, bool trouble);
  bool restore_own_backup();

  // ---- members (comings_and_goings.cc) ----
  bool is_member(const SimulatedNode& node) const {
    return std::find(members_.begin(), members_.end(), &node) != members_.end();
  }
  SimulatedNode* any_spare();
  void become_member(SimulatedNode& node);
  void no_member_any_more(SimulatedNode& node);
  bool any_leaving();
  void on_left(SimulatedNode& node);
  struct Dead {
    NodeId id;
    std::string name;
  };
  void remove_if_unheard(const Dead& gone, SimulatedNode& node);
  std::optional<Dead> die_for_good();
  void remove_later(const Dead& dead, SimulatedNode* successor, Duration pause);
  std::string not_acquainted_because() const;
  std::string not_handed_over_because() const;

  SimulatedNode* any_running();
  SimulatedNode& any_member() { return *members_[random_.below(members_.size())]; }
  static std::vector<PartitionId> owned_by_both(const SimulatedNode& a, const SimulatedNode& b) {
    return a.node().cluster().shared_with(b.node().store().node());
  }
  // Whether `node` owns the partition, as `by` has it.
  static bool owns(const SimulatedNode& by, const SimulatedNode& node, PartitionId partition) {
    return by.node().cluster().owns(node.node().store().node(), partition);
  }
  static const storage::View& live(const SimulatedNode& node, PartitionId partition) {
    return node.node().store().live(partition);
  }

  const RunOptions options_;
  World world_;
  LogTap log_tap_;
  Random random_;
  Network network_;
  Network::Quality quality_;  // but for misfortunes
  storage::LossyDisk disk_;
  server::Config config_;
  Workload workload_;
  Duration pause_{0};  // of the workload, but for bursts
  Faults level_ = Faults::kNormal;
  Duration fault_pause_{0};  // mean between two
  std::unique_ptr<Records> records_;
  std::vector<std::unique_ptr<SimulatedNode>> nodes_;  // of all machines
  std::vector<SimulatedNode*> members_;                // up or not, by index
  struct Leaving {
    std::uint64_t life;
    NodeId id;
  };
  std::map<std::size_t, Leaving> leaving_;  // by node
  std::set<NodeId> dead_;                   // for good, but not removed yet
  std::vector<std::unique_ptr<SimulatedClient>> clients_;
  struct Backup {
    std::size_t node;
    storage::LossyDisk::Image image;
  };
  std::vector<Backup> backups_;
  struct Doomed {
    SimulatedNode* node;
    std::uint64_t life;  // that is to end in the middle of something
    std::string what;
    std::uint64_t* count;
    Instant until;
  };
  std::optional<Doomed> doomed_;
  struct Told {
    const SimulatedNode* by;
    std::uint64_t life;
    std::string name;
  };
  std::vector<Told> told_;
  std::uint64_t events_told_ = 0;
  std::optional<Instant> crash_in_a_pull_until_;
  bool faults_on_ = false;
  bool reads_fail_ = false;  // somewhere
  bool crowded_ = false;
  std::set<std::size_t> full_;  // disks
  bool mending_ = false;  // somewhere something was lost, and not all owners hold the same again
  std::set<std::size_t> damaged_;  // once, and perhaps not found yet
  std::set<std::size_t> salvaging_;
  std::optional<std::string> broken_;
  Counts counts_;
};

}  // namespace grapevine::simulation
