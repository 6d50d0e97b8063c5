#include "gossip/placement.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include <xxhash.h>

namespace grapevine::gossip {
namespace {

double score(PartitionId partition, const MemberRecord& member) {
  const NodeId place = member.place.valid() ? member.place : member.id;
  const std::uint64_t words[] = {partition.value, place.value};
  const std::uint64_t hash = XXH3_64bits(words, sizeof words);
  const double unit = (static_cast<double>(hash >> 11) + 0.5) * 0x1.0p-53;  // in (0, 1)
  return -static_cast<double>(std::max<std::uint32_t>(member.weight, 1)) / std::log(unit);
}

}  // namespace

std::vector<NodeId> owners(PartitionId partition, const std::vector<MemberRecord>& members,
                           std::uint32_t replication_factor) {
  struct Candidate {
    double score;
    const MemberRecord* member;
  };
  std::vector<Candidate> candidates;
  for (const MemberRecord& member : members) {
    if (member.state == MemberState::kUp) candidates.push_back({score(partition, member), &member});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : a.member->id < b.member->id;
  });
  std::vector<NodeId> chosen;
  std::vector<const MemberRecord*> passed_over;
  std::set<std::string> zones;
  for (const Candidate& candidate : candidates) {
    if (chosen.size() == replication_factor) break;
    if (zones.insert(candidate.member->zone).second) {
      chosen.push_back(candidate.member->id);
    } else {
      passed_over.push_back(candidate.member);
    }
  }
  for (const MemberRecord* member : passed_over) {
    if (chosen.size() == replication_factor) break;
    chosen.push_back(member->id);
  }
  return chosen;
}

}  // namespace grapevine::gossip
