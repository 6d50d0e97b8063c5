#include "tests/simulation/comparison.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "gossip/partition_states.h"
#include "gossip/responder.h"
#include "server/store_replica.h"
#include "tools/key_difference.h"

namespace grapevine::simulation {
namespace {

// As a node answers the tool, without the wire.
class View final : public tools::ReplicaView {
 public:
  explicit View(const storage::View& live)
      : live_(live), state_(gossip::state_of(live_, PartitionId{})) {}

  const gossip::PartitionState& state() const override { return state_; }
  absl::StatusOr<std::vector<gossip::RangeDescent::Parts>> split(
      const std::vector<model::TokenRange>& ranges) override {
    GRAPEVINE_ASSIGN_OR_RETURN(auto reply,
                               gossip::answer(live_, gossip::SplitRequest{ranges}, limits_));
    return std::move(reply.parts);
  }
  absl::StatusOr<std::vector<std::vector<model::Item>>> items(
      const std::vector<model::TokenRange>& ranges) override {
    std::vector<std::vector<model::Item>> all;
    for (const auto& range : ranges) {
      GRAPEVINE_ASSIGN_OR_RETURN(auto items, live_.items(range, ~std::size_t{0}, std::nullopt));
      all.push_back(std::move(items));
    }
    return all;
  }
  absl::StatusOr<std::vector<model::KeyedEntry>> heads(const std::vector<std::string>&) override {
    return absl::UnimplementedError("nobody asks for them here");
  }

 private:
  const server::StoreView live_;
  const gossip::PartitionState state_;
  const gossip::ResponderLimits limits_;
};

using Heads = std::map<std::string, std::vector<model::Dot>>;

absl::StatusOr<Heads> heads_of(const storage::View& view) {
  Heads heads;
  GRAPEVINE_RETURN_IF_ERROR(view.scan_stored(view.range(), std::nullopt, model::Values::kWithout,
                                             storage::Reach::kDisk,
                                             [&](std::string_view key, const model::Entry& entry) {
                                               for (const auto& version : entry.versions)
                                                 heads[std::string(key)].push_back(version.dot);
                                               return true;
                                             }));
  for (auto& [key, dots] : heads) std::sort(dots.begin(), dots.end());
  return heads;
}

}  // namespace

absl::StatusOr<std::size_t> compare_as_the_tool_does(const storage::View& one,
                                                     const storage::View& other) {
  GRAPEVINE_ASSIGN_OR_RETURN(const Heads left, heads_of(one));
  GRAPEVINE_ASSIGN_OR_RETURN(const Heads right, heads_of(other));
  std::vector<std::string> differing;
  for (const auto& [key, dots] : left) {
    const auto there = right.find(key);
    if (there == right.end() || there->second != dots) differing.push_back(key);
  }
  for (const auto& [key, dots] : right) {
    if (!left.contains(key)) differing.push_back(key);
  }
  View mine(one);
  View theirs(other);
  GRAPEVINE_ASSIGN_OR_RETURN(const auto found, tools::differing_keys(one.range(), mine, theirs));
  std::vector<std::string> told;
  for (const auto& key : found) told.push_back(key.key);
  std::sort(differing.begin(), differing.end());
  std::sort(told.begin(), told.end());
  if (told == differing) return differing.size();
  return absl::InternalError(fmt::format("{} keys differ, and the divergence tool finds {}",
                                         differing.size(), told.size()));
}

}  // namespace grapevine::simulation
