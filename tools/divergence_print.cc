// How a Divergence is shown.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/divergence.h"
#include "tools/json_lines.h"
#include "tools/readable.h"
#include "tools/table.h"

namespace grapevine::tools {
namespace {

using Json = nlohmann::ordered_json;

WriteName name_of(const model::Dot& dot) {
  return {.actor = dot.actor.value, .counter = dot.counter};
}

const char* name_of(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::kEqual: return "provably_equal";
    case Verdict::Kind::kDiverged: return "diverged";
    case Verdict::Kind::kClocksDiffer: return "clocks_differ";
    case Verdict::Kind::kInFlight: return "in_flight";
    case Verdict::Kind::kNotProven: break;
  }
  return "not_proven";
}

Json pair_object(const Divergence& divergence, const PairDivergence& pair) {
  Json object{{"left", divergence.nodes[pair.left]},
              {"right", divergence.nodes[pair.right]},
              {"partitions", pair.partitions},
              {"partitions_proven_equal", pair.partitions_proven},
              {"partitions_differing", pair.partitions_differing},
              {"partitions_damaged", pair.partitions_damaged},
              {"differing_keys", pair.differing_keys},
              {"missing_left", pair.missing_left},
              {"missing_right", pair.missing_right},
              {"in_flight", pair.in_flight},
              {"oldest_missing_ms", nullptr},
              {"older_than_log", pair.older_than_log},
              {"proven_equal_ago_ms", nullptr}};
  if (pair.oldest_missing.has_value()) object["oldest_missing_ms"] = pair.oldest_missing->count();
  if (pair.proven_equal_ago.has_value())
    object["proven_equal_ago_ms"] = pair.proven_equal_ago->count();
  return object;
}

Json listed_object(const Divergence& divergence, const KeyAtReplicas& listed) {
  Json object = Json::parse(print_key(listed.key));
  object["replicas"] = Json::array();
  for (const auto& at : listed.replicas) {
    Json versions = Json::array();
    for (const auto& version : at.versions) {
      versions.push_back({{"dot", readable_dot(name_of(version.dot))},
                          {"bytes", version.value_bytes},
                          {"written", readable_time(version.written.unix_ms)}});
    }
    object["replicas"].push_back(
        {{"node", divergence.nodes[at.node]}, {"versions", std::move(versions)}});
  }
  return object;
}

std::string oldest_of(const PairDivergence& pair) {
  if (pair.older_than_log) return "unknown";
  return pair.oldest_missing.has_value() ? readable_duration(*pair.oldest_missing) : "-";
}

}  // namespace

std::string print_pairs(const Divergence& divergence) {
  if (divergence.pairs.empty()) return "";
  using enum Table::Align;
  Table table({{"LEFT", kLeft},
               {"RIGHT", kLeft},
               {"DIFFERING KEYS", kRight},
               {"MISSING LEFT", kRight},
               {"MISSING RIGHT", kRight},
               {"IN FLIGHT", kRight},
               {"OLDEST", kRight},
               {"LAST PROVEN EQUAL", kRight}});
  for (const auto& pair : divergence.pairs) {
    table.add_row(
        {divergence.nodes[pair.left], divergence.nodes[pair.right],
         readable_count(pair.differing_keys), readable_count(pair.missing_left),
         readable_count(pair.missing_right), readable_count(pair.in_flight), oldest_of(pair),
         pair.proven_equal_ago.has_value() ? readable_duration(*pair.proven_equal_ago) + " ago"
                                           : "never"});
  }
  return table.print();
}

std::string print_listed(const Divergence& divergence) {
  std::string text;
  for (const auto& listed : divergence.listed) {
    text += printable(listed.key) + "\n";
    for (const auto& at : listed.replicas) {
      const std::string& node = divergence.nodes[at.node];
      if (at.versions.empty()) text += fmt::format("  {}  absent\n", node);
      for (const auto& version : at.versions) {
        text += fmt::format("  {}  {}  {}  {}\n", node, readable_dot(name_of(version.dot)),
                            readable_bytes(version.value_bytes),
                            readable_time(version.written.unix_ms));
      }
    }
  }
  const std::uint64_t listed_keys = divergence.listed.size();
  if (listed_keys > 0 && divergence.differing_keys > listed_keys) {
    text += fmt::format("and {} more; see --limit\n",
                        counted(divergence.differing_keys - listed_keys, "key"));
  }
  return text;
}

std::string print_json(const Divergence& divergence) {
  const Verdict verdict = verdict_of(divergence);
  Json object{{"verdict", name_of(verdict.kind)},
              {"text", verdict.text},
              {"replicas", divergence.replicas},
              {"partitions", divergence.partitions},
              {"keys", divergence.keys},
              {"differing_keys", divergence.differing_keys},
              {"missing_writes", divergence.missing_writes},
              {"unquiet_entries", divergence.unquiet},
              {"partitions_damaged", divergence.partitions_damaged},
              {"partitions_incomplete", divergence.partitions_incomplete},
              {"pairs", Json::array()},
              {"unreachable", Json::array()}};
  for (const auto& pair : divergence.pairs)
    object["pairs"].push_back(pair_object(divergence, pair));
  for (const auto& node : divergence.unreachable) {
    object["unreachable"].push_back({{"name", node.name}, {"why", node.why}});
  }
  if (!divergence.listed.empty()) {
    object["differing"] = Json::array();
    for (const auto& listed : divergence.listed)
      object["differing"].push_back(listed_object(divergence, listed));
  }
  return object.dump();
}

}  // namespace grapevine::tools
