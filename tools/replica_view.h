// Port: one replica of one partition, frozen at one moment, wherever it is.
//
// Two views of one partition are compared by digests first and by items where digests differ
// (key_difference.h); nothing moves but digests, key hashes and what is asked for by key.
#pragma once

#include <string>
#include <vector>

#include "gossip/messages.h"
#include "gossip/range_descent.h"
#include "storage/base/status.h"
#include "storage/model/digest.h"
#include "storage/model/entry.h"
#include "storage/model/token.h"

namespace grapevine::tools {

class ReplicaView {
 public:
  virtual ~ReplicaView() = default;

  // Clock and root digest at that moment.
  virtual const gossip::PartitionState& state() const = 0;
  // For each range the digests of its 16 parts, or none where this side's tree does not resolve
  // them.
  virtual absl::StatusOr<std::vector<gossip::RangeDescent::Parts>> split(
      const std::vector<model::TokenRange>& ranges) = 0;
  // For each range all of its stored keys, in token order.
  virtual absl::StatusOr<std::vector<std::vector<model::Item>>> items(
      const std::vector<model::TokenRange>& ranges) = 0;
  // The entries of these keys without their values, in order; one without versions where there is
  // none.
  virtual absl::StatusOr<std::vector<model::KeyedEntry>> heads(
      const std::vector<std::string>& keys) = 0;
};

}  // namespace grapevine::tools
