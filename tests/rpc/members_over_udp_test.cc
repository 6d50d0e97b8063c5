// Goal: membership works as gossip/swim.h says it is to be driven: sealed packets over real
// sockets, an alarm for each deadline. Method: three members on one loop, in real time with the
// options for one machine; their push-pulls are calls within the process.
#include <algorithm>
#include <map>
#include <memory>

#include "gossip/swim.h"
#include "rpc/seal.h"
#include "rpc/udp_socket.h"
#include "tests/gossip/member_records.h"
#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

using gossip::MemberRecord;
using gossip::Swim;
using gossip::SwimOptions;

ClusterKey key() {
  return parse_cluster_key(1, std::string(64, '7')).value();
}

class MembersOverUdpTest : public LoopTest {
 protected:
  // One member, driven as a node would.
  struct Member {
    Member(Loop& on, std::unique_ptr<UdpSocket> bound, const MemberRecord& self,
           std::vector<std::string> seeds)
        : loop(on),
          socket(std::move(bound)),
          seal(Seal::create("grapevine", {key()}, random_salt()).value()),
          random(self.id.value),
          swim(self, std::move(seeds), {}, SwimOptions::local(), random, 0, on.now()) {}

    Loop& loop;
    std::unique_ptr<UdpSocket> socket;
    Seal seal;
    Random random;
    Swim swim;
    kj::Promise<void> alarm = kj::READY_NOW;
    std::uint64_t refused = 0;
  };

  Member& start(std::uint64_t id, std::vector<std::string> seeds) {
    auto socket = UdpSocket::bind(loop_, kAnyPort, "--peer-listen").value();
    MemberRecord self = gossip::member(id);
    self.peer_address = to_string(socket->address());
    auto& member = members_[self.peer_address];
    member = std::make_unique<Member>(loop_, std::move(socket), self, std::move(seeds));
    Member& started = *member;
    started.socket->start([this, &started](const Address& from, std::string_view bytes) {
      const auto packet = started.seal.open(bytes);
      if (!packet.ok()) {
        ++started.refused;
        return;
      }
      started.swim.on_packet(to_string(from), *packet, loop_.now());
      drive(started);
    });
    drive(started);
    return started;
  }

  void drive(Member& member) {
    Swim::Output output = member.swim.take_output();
    for (const Swim::Datagram& packet : output.packets) {
      member.socket->send(packet.address, member.seal.seal(packet.bytes));
    }
    for (Swim::Call& call : output.calls) {
      loop_.post([this, from = member.swim.self().peer_address, call = std::move(call)] {
        make(from, call);
      });
    }
    const Duration wait = std::max(member.swim.next_deadline() - loop_.now(), Duration{0});
    member.alarm = loop_.after(std::min<Duration>(wait, std::chrono::hours(1)))
                       .then([this, &member] {
                         member.swim.tick(loop_.now());
                         loop_.post([this, address = member.swim.self().peer_address] {
                           if (members_.contains(address)) drive(*members_.at(address));
                         });
                       })
                       .eagerlyEvaluate(nullptr);
  }

  void make(const std::string& from, const Swim::Call& call) {
    if (!members_.contains(from)) return;
    Member& caller = *members_.at(from);
    const auto called = members_.find(call.address);
    if (called == members_.end()) {
      caller.swim.on_failure(call.number, loop_.now());
    } else if (call.push_pull.has_value()) {
      const auto answer = called->second->swim.on_push_pull(*call.push_pull, loop_.now());
      drive(*called->second);
      caller.swim.on_synced(call.number, answer, loop_.now());
    } else {
      caller.swim.on_answered(call.number, loop_.now());
    }
    drive(caller);
  }

  // Whether each takes exactly the others that live for up.
  bool acquainted() {
    return std::all_of(members_.begin(), members_.end(), [&](const auto& member) {
      std::size_t up = 0;
      for (const auto& [id, record] : member.second->swim.members().records()) {
        const bool lives = members_.contains(record.peer_address);
        if (member.second->swim.up(id) != lives) return false;
        up += lives ? 1 : 0;
      }
      return up == members_.size();
    });
  }

  std::map<std::string, std::unique_ptr<Member>> members_;  // by peer address
};

TEST_F(MembersOverUdpTest, MeetAndNoticeWhoDies) {
  const std::string seed = start(1, {}).swim.self().peer_address;
  start(2, {seed});
  const std::string third = start(3, {seed}).swim.self().peer_address;
  run_while_not([&] { return acquainted(); });
  members_.erase(third);
  run_while_not([&] { return acquainted(); });
  for (const auto& [address, member] : members_) {
    EXPECT_EQ(member->swim.belief(NodeId{3}), gossip::Belief::kDown);
    EXPECT_EQ(member->refused, 0U);
  }
}

TEST_F(MembersOverUdpTest, TellEachOtherOfChanges) {
  Member& first = start(1, {});
  Member& second = start(2, {first.swim.self().peer_address});
  run_while_not([&] { return acquainted(); });
  MemberRecord changed = first.swim.self();
  changed.zone = "elsewhere";
  first.swim.change_self(changed, loop_.now());
  drive(first);
  run_while_not([&] { return second.swim.members().find(NodeId{1})->zone == "elsewhere"; });
  EXPECT_EQ(second.refused, 0U);
}

}  // namespace
}  // namespace grapevine::rpc::test
