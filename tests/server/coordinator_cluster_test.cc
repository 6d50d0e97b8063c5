// Goal: with R + W > N no acknowledged write is lost and every read that begins later sees it,
// whichever nodes coordinate; in a session no read goes back, whatever R and W are; every request is
// answered exactly once. Method: four coordinators on
// stores of their own, three owners a partition, and between them a network that delivers calls and
// answers in any order, late, or never. A script of random steps drives it; a failing one is
// shrunk.
#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fmt/format.h>

#include "server/coordinator.h"
#include "storage/model/session.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {
namespace {

constexpr std::size_t kNodes = 4;
constexpr std::uint32_t kPartitions = 4;
constexpr std::size_t kWriteQuorum = 2;
constexpr Duration kTimeout = std::chrono::seconds(1);
constexpr std::size_t kSessions = 2;

struct Step {
  std::uint32_t kind;
  std::uint32_t where;
  std::uint32_t what;
};
void showValue(const Step& step, std::ostream& out) {
  out << '{' << step.kind << ' ' << step.where << ' ' << step.what << '}';
}

using Values = std::set<std::string>;

// What a client asked for, and what it then knew.
struct Asked {
  Operation operation;
  Values superseded;  // of a write: the values that its context has seen
  Values must_see;    // of a read: what had been acknowledged when it began
  std::optional<std::size_t> session;
  Values seen_in_session;  // when it began: to be found, or superseded
  Values gone_in_session;  // and not to be found again
};

// What one session knows, and what it was shown of each key.
struct InSession {
  explicit InSession(std::size_t keys_max) : known(keys_max) {}
  model::Session known;
  std::map<std::string, Values> seen;
  std::map<std::string, Values> gone;
};

class Cluster {
 public:
  Cluster() {
    for (std::size_t i = 0; i < kNodes; ++i) nodes_.push_back(std::make_unique<Node>(i + 1));
    for (const auto& node : nodes_) {
      for (std::uint32_t p = 0; p < kPartitions; ++p) {
        for (std::size_t i = 0; i < 3; ++i) {
          node->ring.owners_of[{p}].push_back(nodes_[(p + i) % kNodes]->store.node());
        }
      }
    }
  }
  ~Cluster() {
    for (const auto& node : nodes_) node->store.sync();
  }

  void take(const Step& step) {
    const std::size_t at = step.where % kNodes;
    const std::uint32_t kind = step.kind % 100;
    if (kind < 8) {
      write(at, step.what);
    } else if (kind < 16) {
      read(at, step.what);
    } else if (kind < 19) {
      write_again(at, step.what);
    } else if (kind < 50) {
      deliver_call(step.what, /*lost=*/false);
    } else if (kind < 53) {
      deliver_call(step.what, /*lost=*/true);
    } else if (kind < 80) {
      deliver_answer(step.what, /*lost=*/false);
    } else if (kind < 84) {
      deliver_answer(step.what, /*lost=*/true);
    } else if (kind < 96) {
      nodes_[at]->store.sync();
    } else if (kind < 98) {
      cut_or_mend(at, step.what);
    } else {
      pass(kTimeout / 8);
    }
    collect();
  }

  // Lets everything end, one way or another, and checks what must then hold.
  void end() {
    pass(kTimeout);
    collect();
    RC_ASSERT(asked_.empty());  // each was answered; collect() sees that none is twice
    for (std::size_t i = 0; i < kNodes; ++i) {
      RC_ASSERT(nodes_[i]->coordinator.next_deadline() == std::nullopt);
    }
    while (!calls_.empty() || !answers_.empty()) {
      while (!calls_.empty()) deliver_call(0, /*lost=*/false);
      for (const auto& node : nodes_) node->store.sync();
      while (!answers_.empty()) deliver_answer(0, /*lost=*/false);
      collect();
    }
    for (const auto& [key, dot] : acknowledged_dots_) {
      std::size_t holders = 0;
      for (const auto& node : nodes_) holders += node->store.entry(key).vector.covers(dot) ? 1 : 0;
      RC_ASSERT(holders >= kWriteQuorum);
    }
  }

  std::size_t acknowledged() const { return acknowledged_dots_.size(); }
  std::size_t reads_checked() const { return reads_checked_; }
  std::size_t session_reads_checked() const { return session_reads_checked_; }

 private:
  struct Node {
    explicit Node(std::uint64_t seed)
        : store(seed, kPartitions), ring(store.node()), coordinator(*store, ring) {}
    MemoryStore store;
    HandRing ring;
    Coordinator coordinator;
    std::map<RequestId, std::pair<std::size_t, CallId>> forwarded;  // from whom
  };
  struct Call {
    std::size_t from;
    PeerCall call;
  };
  struct Answer {
    std::size_t to;
    CallId call;
    PeerReply reply;
  };
  struct Known {
    std::string context;
    Values seen;
  };

  static std::string key_of(std::uint32_t what) { return fmt::format("key {}", what % 3); }

  std::size_t index_of(NodeId id) const {
    const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                    [&](const auto& node) { return node->store.node() == id; });
    return static_cast<std::size_t>(found - nodes_.begin());
  }

  void begin(std::size_t at, Asked asked) {
    const auto id = nodes_[at]->coordinator.execute({asked.operation}, true, now_ + kTimeout, {});
    RC_ASSERT(id.ok());
    asked_.emplace(std::pair(at, *id), std::move(asked));
  }

  // In one of the sessions, or in none.
  void draw_session(Asked& asked, std::uint32_t what) {
    if (what / 7 % 2 == 0) return;
    asked.session = what / 14 % kSessions;
    InSession& in = sessions_[*asked.session];
    asked.operation.session = in.known.part_of(asked.operation.key).encode();
    asked.operation.consistency = Consistency::kOne;
    asked.must_see.clear();
    asked.seen_in_session = in.seen[asked.operation.key];
    asked.gone_in_session = in.gone[asked.operation.key];
  }

  void note_session(const Asked& asked, const std::string& said, const Values& shown) {
    InSession& in = sessions_[*asked.session];
    const auto told = model::Session::decode(said);
    RC_ASSERT(told.ok());
    RC_ASSERT(in.known.join(model::Session(told->scope())).ok());
    const std::string& key = asked.operation.key;
    in.known.note(key, told->of(key));
    in.seen[key].insert(shown.begin(), shown.end());
    for (const std::string& value : in.gone[key]) in.seen[key].erase(value);
  }

  // A value that nobody wrote before, or a delete; its context has seen nothing, or what an answer
  // of before showed.
  void write(std::size_t at, std::uint32_t what) {
    Asked asked;
    const std::string key = key_of(what);
    asked.operation =
        what % 7 == 0 ? remove(key) : put(key, fmt::format("value {}", ++last_value_));
    asked.operation.write_id = ++last_write_id_;
    const std::vector<Known>& known = known_[key];
    asked.operation.context = std::string();
    if (!known.empty() && what % 5 < 3) {
      const Known& chosen = known[what / 100 % known.size()];
      asked.operation.context = chosen.context;
      asked.superseded = chosen.seen;
    }
    superseded_[key].insert(asked.superseded.begin(), asked.superseded.end());
    written_.push_back(asked);
    // A write at one owner may be gone with it for a while: only a session knows to ask for it.
    if (what / 3 % 4 == 0) draw_session(asked, what);
    begin(at, std::move(asked));
  }

  // The same write under the same id, as a client that did not hear an answer sends it.
  void write_again(std::size_t at, std::uint32_t what) {
    if (written_.empty()) return;
    const Asked& again = written_[what % written_.size()];
    written_again_.insert(again.operation.value);
    begin(at, again);
  }

  void read(std::size_t at, std::uint32_t what) {
    Asked asked;
    asked.operation = get(key_of(what));
    asked.must_see = acknowledged_[asked.operation.key];
    draw_session(asked, what);
    begin(at, std::move(asked));
  }

  void deliver_call(std::uint32_t what, bool lost) {
    if (calls_.empty()) return;
    const auto chosen = calls_.begin() + what % calls_.size();
    const Call sent = std::move(*chosen);
    calls_.erase(chosen);
    if (lost) {
      nodes_[sent.from]->coordinator.on_failure(sent.call.id, absl::UnavailableError("lost"));
      return;
    }
    Node& target = *nodes_[index_of(sent.call.to)];
    if (const auto* replicate = std::get_if<ReplicateCall>(&sent.call.body)) {
      auto batch = target.store->begin();
      for (const auto& entry : replicate->entries) RC_ASSERT((*batch)->receive(*entry).ok());
      const auto committed = target.store->commit(*std::move(batch));
      RC_ASSERT(committed.ok());
      target.store->when_durable(committed->number, [this, from = sent.from, id = sent.call.id] {
        answers_.push_back({from, id, ReplicateReply{}});
      });
    } else if (const auto* read = std::get_if<ReadCall>(&sent.call.body)) {
      ReadReply reply;
      for (const std::string& key : read->keys) {
        reply.entries.push_back(target.store->load(
            key, read->heads_only ? model::Values::kWithout : model::Values::kWith));
      }
      answers_.push_back({sent.from, sent.call.id, std::move(reply)});
    } else {
      const auto& forward = std::get<ForwardCall>(sent.call.body);
      const auto id =
          target.coordinator.execute(forward.operations, false, forward.deadline, WallTime{});
      RC_ASSERT(id.ok());
      target.forwarded.emplace(*id, std::pair(sent.from, sent.call.id));
    }
  }

  void deliver_answer(std::uint32_t what, bool lost) {
    if (answers_.empty()) return;
    const auto chosen = answers_.begin() + what % answers_.size();
    Answer sent = std::move(*chosen);
    answers_.erase(chosen);
    Coordinator& coordinator = nodes_[sent.to]->coordinator;
    if (lost) {
      coordinator.on_failure(sent.call, absl::UnavailableError("lost"));
    } else {
      coordinator.on_reply(sent.call, std::move(sent.reply));
    }
  }

  void cut_or_mend(std::size_t at, std::uint32_t what) {
    const NodeId other = nodes_[what % kNodes]->store.node();
    if (other == nodes_[at]->store.node()) return;
    std::set<NodeId>& unreachable = nodes_[at]->ring.unreachable;
    if (unreachable.erase(other) == 0) unreachable.insert(other);
  }

  void pass(Duration time) {
    now_ = now_ + time;
    for (const auto& node : nodes_) node->coordinator.tick(now_);
  }

  // Carries out what the coordinators want until none wants more.
  void collect() {
    bool quiet = false;
    while (!quiet) {
      quiet = true;
      for (std::size_t i = 0; i < kNodes; ++i) {
        CoordinatorOutput output = nodes_[i]->coordinator.take_output();
        RC_ASSERT(!output.must_renew_actor);
        for (PeerCall& call : output.calls) calls_.push_back({i, std::move(call)});
        for (CoordinatorOutput::Answer& answer : output.answers) {
          quiet = false;
          on_answer(i, answer.request, std::move(answer.answers));
        }
        if (output.wait_durable == 0) continue;
        quiet = false;
        nodes_[i]->store->when_durable(
            output.wait_durable,
            [this, i, number = output.wait_durable] { nodes_[i]->coordinator.on_durable(number); });
      }
    }
  }

  void on_answer(std::size_t at, RequestId id, std::vector<OperationAnswer> answers) {
    const auto forwarded = nodes_[at]->forwarded.find(id);
    if (forwarded != nodes_[at]->forwarded.end()) {
      const auto [from, call] = forwarded->second;
      nodes_[at]->forwarded.erase(forwarded);
      answers_.push_back({from, call, ForwardReply{std::move(answers)}});
      return;
    }
    const auto found = asked_.find({at, id});
    RC_ASSERT(found != asked_.end());
    const Asked asked = std::move(found->second);
    asked_.erase(found);
    RC_ASSERT(answers.size() == 1U);
    if (const auto* read = std::get_if<ReadAnswer>(&answers[0])) {
      on_read(asked, *read);
    } else if (const auto* written = std::get_if<WriteAnswer>(&answers[0])) {
      on_written(asked, *written);
    } else {
      const absl::Status& status = std::get<absl::Status>(answers[0]);
      RC_ASSERT(absl::IsUnavailable(status) || is_outcome_unknown(status));
      RC_ASSERT(asked.operation.writes() || absl::IsUnavailable(status));
    }
  }

  void on_read(const Asked& asked, const ReadAnswer& read) {
    const std::string& key = asked.operation.key;
    Values shown;
    for (const model::Version& version : read.siblings) {
      RC_ASSERT(version.has_value);
      RC_ASSERT(shown.insert(version.value).second);  // a retried write is shown once
    }
    const Values& superseded = superseded_[key];
    for (const std::string& value : asked.must_see) {
      RC_ASSERT(shown.contains(value) || superseded.contains(value));
    }
    known_[key].push_back({read.context, shown});
    ++reads_checked_;
    if (!asked.session.has_value()) return;
    ++session_reads_checked_;
    for (const std::string& value : asked.seen_in_session) {
      RC_ASSERT(shown.contains(value) || superseded.contains(value));
      if (!shown.contains(value)) sessions_[*asked.session].gone[key].insert(value);
    }
    for (const std::string& value : asked.gone_in_session) {
      // Written twice, it has two dots, and may be superseded under one of them only.
      RC_ASSERT(!shown.contains(value) || written_again_.contains(value));
    }
    note_session(asked, read.session, shown);
  }

  void on_written(const Asked& asked, const WriteAnswer& written) {
    const std::string& key = asked.operation.key;
    const bool at_one = asked.operation.consistency == Consistency::kOne;
    if (!at_one) acknowledged_dots_.emplace(key, written.dot);
    Known known{written.context, asked.superseded};
    if (asked.operation.kind == OperationKind::kPut) {
      if (!at_one) acknowledged_[key].insert(asked.operation.value);
      known.seen.insert(asked.operation.value);
    }
    if (asked.session.has_value()) {
      Values shown = known.seen;
      for (const std::string& value : asked.superseded) shown.erase(value);
      note_session(asked, written.session, shown);
    }
    known_[key].push_back(std::move(known));
  }

  std::vector<std::unique_ptr<Node>> nodes_;
  Instant now_{std::chrono::seconds(100)};
  std::vector<Call> calls_;      // on their way
  std::vector<Answer> answers_;  // on their way back
  std::map<std::pair<std::size_t, RequestId>, Asked> asked_;
  std::vector<Asked> written_;
  std::uint64_t last_value_ = 0;
  std::uint64_t last_write_id_ = 0;
  std::map<std::string, std::vector<Known>> known_;  // contexts that were handed out
  std::map<std::string, Values> acknowledged_;
  std::map<std::string, Values> superseded_;  // by a write that was at least tried
  std::set<std::pair<std::string, model::Dot>> acknowledged_dots_;
  std::size_t reads_checked_ = 0;
  // One knows a single key exactly.
  InSession sessions_[kSessions] = {InSession(model::Session::kKeysMax), InSession(1)};
  Values written_again_;
  std::size_t session_reads_checked_ = 0;
};

rc::Gen<std::vector<Step>> any_script() {
  const auto step = rc::gen::construct<Step>(rc::gen::inRange<std::uint32_t>(0, 100),
                                             rc::gen::inRange<std::uint32_t>(0, kNodes),
                                             rc::gen::inRange<std::uint32_t>(0, 1000));
  return rc::gen::scale(4, rc::gen::container<std::vector<Step>>(rc::gen::resize(100, step)));
}

RC_GTEST_PROP(CoordinatorCluster, NoAcknowledgedWriteIsLostAndEveryRequestIsAnsweredOnce, ()) {
  const auto script = *any_script();
  Cluster cluster;
  for (const Step& step : script) cluster.take(step);
  cluster.end();
  RC_CLASSIFY(cluster.acknowledged() > 0, "writes acknowledged");
  RC_CLASSIFY(cluster.reads_checked() > 0, "reads checked");
  RC_CLASSIFY(cluster.session_reads_checked() > 0, "session reads checked");
}

// The property above would hold of a cluster that refuses everything.
TEST(CoordinatorCluster, LongScriptsAcknowledgeAndRead) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Cluster cluster;
    const auto word = [&] { return static_cast<std::uint32_t>(random.below(1000)); };
    for (int i = 0; i < 3000; ++i) cluster.take({word(), word(), word()});
    cluster.end();
    EXPECT_GT(cluster.acknowledged(), 50U);
    EXPECT_GT(cluster.reads_checked(), 50U);
    EXPECT_GT(cluster.session_reads_checked(), 20U);
  }
}

}  // namespace
}  // namespace grapevine::server::test
