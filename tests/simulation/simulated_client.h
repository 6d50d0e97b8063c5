// A client of a simulated cluster: the client library's own machinery on a simulated loop, and what
// it is used for.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/batcher.h"
#include "client/pool.h"
#include "tests/simulation/machine.h"
#include "tests/simulation/records.h"

namespace grapevine::simulation {

// What the clients of a run do. Value.
struct Workload {
  std::size_t keys = 10;                           // that all clients share
  Duration pause = std::chrono::milliseconds(50);  // mean between two calls
  std::size_t outstanding_max = 4;                 // calls of one client
  double writes = 0.5;                             // of all calls
  double removes = 0.2;                            // of the writes
  double with_context = 0.4;  // of the writes: the last that was read of the key
  double with_empty_context = 0.05;
  double hot = 0.3;     // of the calls: the first key
  double large = 0.02;  // of the values: up to large_bytes
  std::size_t large_bytes = 6'000;
  double expiring = 0;  // of the puts: they have a time to live
  std::chrono::milliseconds ttl_max{20'000};
  double one = 0.2;       // of the calls: consistency one
  double all = 0.05;      // consistency all
  double in_session = 0;  // of the calls, of one session at a time, to one node and another
  std::size_t session_keys = 1'000;  // that it knows exactly
  std::chrono::milliseconds timeout{3'000};
};

// Resource. Begins to call at start(), ends when told. Reports what it saw to the records, and what
// broke to `on_broken`.
class SimulatedClient {
 public:
  SimulatedClient(World& world, Network& network, std::size_t index,
                  const std::vector<rpc::Address>& nodes, const Workload& workload,
                  Records& records, std::uint64_t seed, std::function<void(std::string)> on_broken);
  ~SimulatedClient();
  SimulatedClient(const SimulatedClient&) = delete;
  SimulatedClient& operator=(const SimulatedClient&) = delete;

  void start();
  // So many puts of one key at once, none of which has seen another; what they make is read, and
  // resolved by one more.
  void crowd(std::size_t puts);
  void stop_calling() { calling_ = false; }
  std::size_t outstanding() const { return outstanding_; }
  std::uint64_t calls() const { return calls_; }
  std::uint64_t failures() const { return failures_; }
  std::uint64_t calls_in_session() const { return calls_in_session_; }
  std::size_t siblings_max() const { return siblings_max_; }  // of a crowd

 private:
  struct Machinery;
  struct InSession {
    std::shared_ptr<Session> session;
    SessionRecord record;
  };

  void call_later();
  void call();
  void call_own_key();
  void resolve(const std::string& key);
  void read(const std::string& key, bool own);
  void write(Operation operation, bool own);
  void begin(Operation operation, std::uint64_t write_id, bool own,
             std::function<void(OperationResult)> done);
  Consistency draw_consistency();
  // For a call; null: it is in none. Now and then a new one begins, or goes on from its token.
  std::shared_ptr<InSession> draw_session();
  static std::optional<SessionCall> call_in(const std::shared_ptr<InSession>& in,
                                            const std::string& key);
  void broken(std::optional<std::string> what);

  World& world_;
  Records& records_;
  const Workload& workload_;
  Random random_;
  Random sessions_;  // apart, so that a run without them is what it was
  const std::function<void(std::string)> on_broken_;
  const std::string own_key_;
  MachineTime time_;
  SimulatedLoop loop_;
  std::unique_ptr<Machinery> machinery_;
  // As another process that has the session too: it prefers another node.
  std::unique_ptr<Machinery> elsewhere_;
  bool calling_ = true;
  std::size_t outstanding_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t calls_in_session_ = 0;
  std::shared_ptr<InSession> session_;
  std::size_t siblings_max_ = 0;
  bool tried_again_ = false;                     // the call that is ending
  std::map<std::string, std::string> contexts_;  // the last read of each key
  // Of the key that this client alone writes:
  std::string own_context_;
  bool own_under_way_ = false;
  bool own_certain_ = true;  // every write so far was sent once, and its outcome is known
};

}  // namespace grapevine::simulation
