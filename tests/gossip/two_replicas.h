// Two replicas that exchange (conversation.h).
#pragma once

#include <cstddef>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/gossip/conversation.h"
#include "tests/gossip/fake_replica.h"

namespace grapevine::gossip {

// Without the comparison before (comparison_test.cc), which leaves little to do.
inline ConversationOptions stepwise() {
  ConversationOptions options;
  options.exchange.compares = false;
  return options;
}

class TwoReplicas : public ::testing::Test {
 protected:
  // Both hold what `b` wrote, from the beginning.
  void share(std::size_t keys) {
    for (std::size_t i = 0; i < keys; ++i) {
      const KeyedEntry written = b_.put(fmt::format("shared {}", i), "v");
      ASSERT_TRUE(a_.merge(a_.partition_of(written.key), {written}).ok());
    }
    settle();
  }
  void settle() {
    a_.settle();
    b_.settle();
  }
  void forget_logs() {
    Random random(1);
    a_.evict(random, 1);
    b_.evict(random, 1);
  }
  static ConversationOptions by_descent() {
    ConversationOptions options = stepwise();
    options.exchange.pull.sketches = false;
    return options;
  }
  // After upkeep: an entry may wait to be stripped.
  bool same() {
    a_.strip_all();
    b_.strip_all();
    for (const PartitionId id : a_.partitions()) {
      if (a_.partition(id).stored != b_.partition(id).stored) return false;
      if (a_.partition(id).clock != b_.partition(id).clock) return false;
    }
    return true;
  }

  FakeReplica a_{NodeId{1}, 4};
  FakeReplica b_{NodeId{2}, 4};
};

}  // namespace grapevine::gossip
