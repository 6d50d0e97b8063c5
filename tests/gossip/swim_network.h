// A network of SWIM machines in virtual time: seeded loss and delay, cuts in either direction, slow
// members, processes that die and come back. One seed, one trace.
//
// Packets and push-pulls travel as their bytes. A stream loses nothing, but each loss of a segment
// delays it as TCP does, by kResendTime, doubling; it fails at once where no process listens, after
// kConnectTime where the way there or back is cut, and after kCallTime in any case.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossip/swim.h"

namespace grapevine::gossip {

struct Weather {
  double loss = 0;  // of each packet
  Duration delay_min = std::chrono::microseconds(200);
  Duration delay_max = std::chrono::milliseconds(2);
};

class SwimNetwork {
 public:
  static constexpr Duration kConnectTime = std::chrono::milliseconds(500);
  static constexpr Duration kCallTime = std::chrono::seconds(5);
  static constexpr Duration kResendTime = std::chrono::milliseconds(200);

  struct Verdict {
    Instant at;
    NodeId by;
    NodeId of;
    bool up;
  };
  struct Node {
    Node(std::uint64_t seed, const MemberRecord& self, std::vector<std::string> seeds,
         const std::vector<MemberRecord>& known, const SwimOptions& options, Instant now)
        : random(seed), swim(self, std::move(seeds), known, options, random, 0, now) {}

    Random random;
    Swim swim;
    std::string address;
    Duration slow{0};  // so late it handles what arrives
    std::vector<Rumour> rumours;
    std::vector<Swim::Told> told;
    std::optional<Instant> alarm;
    std::uint64_t life = 0;
    bool paused = false;
    std::vector<std::function<void(Node&)>> held;  // what comes meanwhile
  };
  struct Traffic {
    std::uint64_t packets = 0;
    std::uint64_t packet_bytes = 0;
    std::uint64_t stream_bytes = 0;
  };

  SwimNetwork(std::uint64_t seed, const SwimOptions& options, Weather weather = {});
  SwimNetwork(const SwimNetwork&) = delete;
  SwimNetwork& operator=(const SwimNetwork&) = delete;

  // ---- processes ----
  Swim& start(const MemberRecord& self, std::vector<std::string> seeds = {},
              const std::vector<MemberRecord>& known = {});
  // Members 1 to n, who know each other and have all just been heard of.
  void start_acquainted(std::uint64_t n);
  // The machine goes, and says nothing more.
  void kill(std::uint64_t id) { nodes_.erase(NodeId{id}); }
  // Its machine lives, and refuses calls.
  void kill_process(std::uint64_t id) {
    refusing_.insert(node(id).address);
    kill(id);
  }
  void slow(std::uint64_t id, Duration late) { node(id).slow = late; }
  // A paused process does nothing; when it goes on, its alarm rings first.
  void pause(std::uint64_t id) { node(id).paused = true; }
  void resume(std::uint64_t id);
  Swim& at(std::uint64_t id) { return node(id).swim; }
  Node& node(std::uint64_t id) { return *nodes_.at(NodeId{id}); }
  const std::map<NodeId, std::unique_ptr<Node>>& nodes() const { return nodes_; }

  // ---- network ----
  Weather& weather() { return weather_; }
  void cut(std::uint64_t from, std::uint64_t to) { cuts_.insert({NodeId{from}, NodeId{to}}); }
  // Nothing passes between 1 to `last` and all others.
  void split_after(std::uint64_t last) { split_ = NodeId{last}; }
  void block_datagrams() { datagrams_blocked_ = true; }
  void heal();

  // ---- time ----
  Instant now() const { return now_; }
  void run(Duration time);
  // Until `done`, looked at each `step`; nullopt when it is not so within `limit`.
  std::optional<Duration> run_until(const std::function<bool()>& done, Duration limit,
                                    Duration step = std::chrono::milliseconds(10));
  // Whatever a member hears of what another one holds.
  std::function<void(NodeId at, NodeId from, const Summary&)> on_summary;

  // Carries out what a machine wants after a test has called it.
  void settle(std::uint64_t id) { carry_out(node(id)); }

  // ---- what is seen ----
  bool acquainted() const;  // all that live take exactly those that live for up
  bool all_believe(std::uint64_t id, bool up) const;  // all that live, but for itself
  const std::vector<Verdict>& verdicts() const { return verdicts_; }
  std::size_t down_verdicts_since(Instant since) const;
  const Traffic& traffic() const { return traffic_; }

 private:
  struct Event {
    Instant at;
    std::uint64_t number;
    std::function<void()> act;
    friend bool operator<(const Event& a, const Event& b) {  // a heap's top is its largest
      return std::pair(a.at, a.number) > std::pair(b.at, b.number);
    }
  };

  void after(Duration delay, std::function<void()> act);
  void carry_out(Node& node);
  void set_alarm(Node& node);
  void send(const Node& from, Swim::Datagram datagram);
  void call(Node& from, Swim::Call call);
  Node* listens(const std::string& address);
  Node* living(NodeId id, std::uint64_t life);
  // Has a process do something after the delay, if it still lives then, and carries out what its
  // machine wants.
  void later(Duration delay, const Node& node, std::function<void(Node&)> act);
  bool passes(NodeId from, NodeId to) const;
  Duration delay();
  Duration stream_delay();

  const SwimOptions options_;
  Weather weather_;
  Random random_;
  Instant now_{std::chrono::hours(1)};
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::set<std::string> refusing_;  // addresses
  std::optional<NodeId> split_;
  bool datagrams_blocked_ = false;
  std::vector<Event> events_;  // a heap
  std::uint64_t last_event_ = 0;
  std::uint64_t last_life_ = 0;
  std::vector<Verdict> verdicts_;
  Traffic traffic_;
};

}  // namespace grapevine::gossip
