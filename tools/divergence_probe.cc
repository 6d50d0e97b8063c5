#include "tools/divergence_probe.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "storage/model/token.h"

namespace grapevine::tools {
namespace {

// Partitions whose views are open at the same time.
constexpr std::size_t kPartitionsAtOnce = 64;

// One pass over the members that answer.
class Pass {
 public:
  Pass(ClusterMembers& cluster, const ProbeOptions& options)
      : cluster_(cluster), options_(options), partitioning_(cluster.asked.partitions) {}

  // Nullopt: a member has stopped answering, and was noted; begin again.
  absl::StatusOr<std::optional<Divergence>> run();

 private:
  using Views = std::map<std::size_t, std::unique_ptr<ReplicaView>>;  // of one partition, by place

  bool ask_for_states(Member& member);
  bool is_incomplete(PartitionId partition) const;
  // Those whose roots differ.
  std::vector<PartitionId> differing_partitions() const;
  absl::Status descend(const std::vector<PartitionId>& partitions);
  absl::StatusOr<std::map<PartitionId, Views>> open_views(
      const std::vector<PartitionId>& partitions);
  absl::Status compare(PartitionId partition, const Views& views);
  absl::Status list_keys(const ComparedPartition& compared, const Views& views);
  void note_proven(const Member& member, const std::vector<SeenPeer>& peers);
  void note_ages(PairDivergence& pair);
  absl::Status ask_for_ages(const std::vector<PartitionId>& partitions);
  absl::Status ask_for_ages(const std::vector<PartitionId>& partitions, std::size_t has,
                            std::size_t lacks);
  // The error, with the member that gave it noted as unreachable if it stopped answering.
  absl::Status blame(std::size_t node, const absl::Status& status);

  ClusterMembers& cluster_;
  const ProbeOptions& options_;
  const model::Partitioning partitioning_;

  std::vector<Member*> nodes_;  // as in divergence_.nodes
  std::map<NodeId, std::size_t> places_;
  std::map<PartitionId, ComparedPartition> partitions_;
  std::map<PartitionId, std::set<NodeId>> owners_;  // by whoever was reached
  std::map<std::pair<NodeId, NodeId>, milliseconds> proven_;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<DotAges>> ages_;  // smaller place first
  bool begin_again_ = false;
  Divergence divergence_;
};

absl::StatusOr<std::optional<Divergence>> Pass::run() {
  for (Member& member : cluster_.members) {
    if (!member.is_owner()) continue;
    if (member.node == nullptr || !ask_for_states(member)) {
      divergence_.unreachable.push_back(
          {member.record.name, std::string(text_of(member.why_unreachable))});
    }
  }
  const std::vector<PartitionId> differing = differing_partitions();
  std::vector<PartitionId> alike;
  for (const auto& [partition, compared] : partitions_) {
    if (!std::binary_search(differing.begin(), differing.end(), partition)) {
      alike.push_back(partition);
    }
  }
  const absl::Status aged = ask_for_ages(alike);
  if (begin_again_) return std::nullopt;
  GRAPEVINE_RETURN_IF_ERROR(aged);
  for (std::size_t begin = 0; begin < differing.size(); begin += kPartitionsAtOnce) {
    const std::size_t end = std::min(begin + kPartitionsAtOnce, differing.size());
    const absl::Status status = descend({differing.begin() + static_cast<std::ptrdiff_t>(begin),
                                         differing.begin() + static_cast<std::ptrdiff_t>(end)});
    if (begin_again_) return std::nullopt;
    GRAPEVINE_RETURN_IF_ERROR(status);
  }
  for (std::uint32_t i = 0; i < partitioning_.count(); ++i) {
    ComparedPartition& compared = partitions_[{i}];
    compared.incomplete = is_incomplete({i});
    add(compared, divergence_);
  }
  for (PairDivergence& pair : divergence_.pairs) {
    const NodeId left = nodes_[pair.left]->record.id;
    const NodeId right = nodes_[pair.right]->record.id;
    const auto proven = proven_.find(std::minmax(left, right));
    if (proven != proven_.end()) pair.proven_equal_ago = proven->second;
    note_ages(pair);
  }
  return std::move(divergence_);
}

// At once when the clocks were told: a moment later nothing would be on its way any more.
absl::Status Pass::ask_for_ages(const std::vector<PartitionId>& partitions) {
  for (std::size_t has = 0; has < nodes_.size(); ++has) {
    for (std::size_t lacks = 0; lacks < nodes_.size(); ++lacks) {
      GRAPEVINE_RETURN_IF_ERROR(ask_for_ages(partitions, has, lacks));
    }
  }
  return absl::OkStatus();
}

// When what the one lacks came to the other.
absl::Status Pass::ask_for_ages(const std::vector<PartitionId>& partitions, std::size_t has,
                                std::size_t lacks) {
  std::vector<PartitionDots> missing;
  for (const PartitionId partition : partitions) {
    const auto& states = partitions_[partition].states;
    if (!states.contains(has) || !states.contains(lacks)) continue;
    auto dots = states.at(has).clock.minus(states.at(lacks).clock);
    // A marker has no age.
    std::erase_if(dots, [](const model::DotRange& range) { return range.closes(); });
    if (!dots.empty()) missing.push_back({partition, std::move(dots)});
  }
  if (missing.empty()) return absl::OkStatus();
  const auto ages = nodes_[has]->node->ages(missing);
  if (!ages.ok()) return blame(has, ages.status());
  std::vector<DotAges>& known = ages_[std::minmax(has, lacks)];
  known.insert(known.end(), ages->begin(), ages->end());
  return absl::OkStatus();
}

void Pass::note_ages(PairDivergence& pair) {
  for (const DotAges& age : ages_[{pair.left, pair.right}]) {
    pair.in_flight += age.in_flight;
    pair.older_than_log = pair.older_than_log || !age.oldest.has_value();
    if (age.oldest.has_value()) {
      pair.oldest_missing = std::max(pair.oldest_missing.value_or(*age.oldest), *age.oldest);
    }
  }
  if (pair.older_than_log) pair.oldest_missing.reset();
}

bool Pass::ask_for_states(Member& member) {
  auto states = member.node->states();
  absl::StatusOr<MemberList> list;
  if (states.ok()) list = member.node->members();
  if (!states.ok() || !list.ok()) {
    member.why_unreachable = states.ok() ? list.status() : states.status();
    member.node = nullptr;
    return false;
  }
  const std::size_t place = nodes_.size();
  nodes_.push_back(&member);
  places_[member.record.id] = place;
  divergence_.nodes.push_back(member.record.name);
  for (auto& owned : *states) {
    const PartitionId partition = owned.state.partition;
    owners_[partition].insert(owned.owners.begin(), owned.owners.end());
    partitions_[partition].states.emplace(place, std::move(owned.state));
  }
  note_proven(member, list->peers);
  return true;
}

void Pass::note_proven(const Member& member, const std::vector<SeenPeer>& peers) {
  for (const SeenPeer& peer : peers) {
    if (!peer.proven_equal_ago.has_value()) continue;
    const auto [known, fresh] =
        proven_.emplace(std::minmax(member.record.id, peer.node), *peer.proven_equal_ago);
    if (!fresh) known->second = std::min(known->second, *peer.proven_equal_ago);
  }
}

absl::Status Pass::blame(std::size_t node, const absl::Status& status) {
  if (absl::IsUnavailable(status)) {
    nodes_[node]->why_unreachable = status;
    nodes_[node]->node = nullptr;
    begin_again_ = true;
  }
  return status;
}

bool Pass::is_incomplete(PartitionId partition) const {
  const auto& states = partitions_.at(partition).states;
  const auto owners = owners_.find(partition);
  if (states.empty() || owners == owners_.end()) return true;
  return std::any_of(owners->second.begin(), owners->second.end(), [&](NodeId owner) {
    const auto place = places_.find(owner);
    return place != places_.end() && !states.contains(place->second);
  });
}

std::vector<PartitionId> Pass::differing_partitions() const {
  const auto differs = [](const auto& a, const auto& b) {
    return a.second.root.sum != b.second.root.sum;
  };
  std::vector<PartitionId> differing;
  for (const auto& [partition, compared] : partitions_) {
    const auto& states = compared.states;
    if (std::adjacent_find(states.begin(), states.end(), differs) != states.end())
      differing.push_back(partition);
  }
  return differing;
}

absl::Status Pass::descend(const std::vector<PartitionId>& partitions) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto views, open_views(partitions));
  for (const PartitionId partition : partitions) {
    for (const auto& [place, view] : views[partition]) {
      partitions_[partition].states[place] = view->state();
    }
  }
  GRAPEVINE_RETURN_IF_ERROR(ask_for_ages(partitions));
  for (const PartitionId partition : partitions) {
    GRAPEVINE_RETURN_IF_ERROR(compare(partition, views[partition]));
    views.erase(partition);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<PartitionId, Pass::Views>> Pass::open_views(
    const std::vector<PartitionId>& partitions) {
  std::map<PartitionId, Views> views;
  for (std::size_t place = 0; place < nodes_.size(); ++place) {
    std::vector<PartitionId> held;
    for (const PartitionId partition : partitions) {
      if (partitions_[partition].states.contains(place)) held.push_back(partition);
    }
    auto opened = nodes_[place]->node->open_views(held);
    if (!opened.ok()) return blame(place, opened.status());
    for (std::size_t i = 0; i < held.size(); ++i) views[held[i]][place] = std::move((*opened)[i]);
  }
  return views;
}

absl::Status Pass::compare(PartitionId partition, const Views& views) {
  ComparedPartition& compared = partitions_[partition];
  for (auto left = views.begin(); left != views.end(); ++left) {
    for (auto right = std::next(left); right != views.end(); ++right) {
      auto keys = differing_keys(partitioning_.range(partition), *left->second, *right->second);
      if (!keys.ok()) {
        // Whichever of the two it was does not tell its states in the next pass either.
        begin_again_ = absl::IsUnavailable(keys.status());
        return keys.status();
      }
      if (!keys->empty()) compared.differing[{left->first, right->first}] = *std::move(keys);
    }
  }
  return list_keys(compared, views);
}

absl::Status Pass::list_keys(const ComparedPartition& compared, const Views& views) {
  std::set<std::string> distinct;
  for (const auto& [pair, differing] : compared.differing) {
    for (const auto& key : differing) distinct.insert(key.key);
  }
  const std::uint64_t room = options_.keys_listed_max - divergence_.listed.size();
  std::vector<std::string> keys;
  for (const auto& key : distinct) {
    if (keys.size() == room) break;
    keys.push_back(key);
  }
  if (keys.empty()) return absl::OkStatus();
  std::vector<KeyAtReplicas> listed(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) listed[i].key = keys[i];
  for (const auto& [place, view] : views) {
    auto heads = view->heads(keys);
    if (!heads.ok()) return blame(place, heads.status());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      KeyAtReplicas::AtNode at{.node = place, .versions = {}};
      for (auto& version : (*heads)[i].entry.versions) at.versions.push_back(std::move(version));
      listed[i].replicas.push_back(std::move(at));
    }
  }
  for (auto& key : listed) divergence_.listed.push_back(std::move(key));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Divergence> probe(ClusterMembers& cluster, const ProbeOptions& options) {
  // A member that stops answering costs a pass.
  for (std::size_t passes = cluster.members.size() + 1; passes > 0; --passes) {
    GRAPEVINE_ASSIGN_OR_RETURN(auto divergence, Pass(cluster, options).run());
    if (divergence.has_value()) return *std::move(divergence);
  }
  return absl::UnavailableError("members come and go faster than they can be compared; try again");
}

}  // namespace grapevine::tools
