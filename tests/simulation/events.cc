// Events that are told to everybody (gossip/rumours.h) while a cluster has its misfortunes.
//
// Asked for: no life of a node delivers one twice; once all has healed, all lives have delivered the
// same, and among that whatever was told by one that still goes on.
#include <algorithm>

#include <fmt/format.h>

#include "tests/simulation/cluster_run.h"

namespace grapevine::simulation {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kPause = seconds(4);  // mean between two
constexpr std::size_t kEventsMax = server::Events::kEventsMax / 2;
// What is older may be forgotten where it has been heard, and then restarted nodes do not learn it.
constexpr Duration kRemembered = gossip::Rumours::kAgeMax - minutes(10);
constexpr std::size_t kPayloadMax = 300;

}  // namespace

void Run::tell_events() {
  const Duration begin = std::max(options_.duration - kRemembered, Duration::zero());
  world_.after(begin + draw(random_, Duration::zero(), 2 * kPause), nullptr,
               [this] { tell_an_event(); });
}

void Run::tell_an_event() {
  if (!faults_on_ || told_.size() >= kEventsMax) return;
  world_.after(draw(random_, Duration::zero(), 2 * kPause), nullptr, [this] { tell_an_event(); });
  SimulatedNode* const node = any_running();
  if (node == nullptr || !node->serving()) return;
  const std::string name = fmt::format("event{}", ++events_told_);
  node->as_the_process([this, node, name, life = node->lives(),
                        payload =
                            std::string(random_.below(kPayloadMax), 'e')](server::Node& real) {
    if (const absl::Status status = real.cluster().tell(name, payload); !status.ok()) {
      return broken(fmt::format("{} does not tell an event: {}", node->name(), text_of(status)));
    }
    told_.push_back({node, life, name});
  });
}

std::string Run::not_told_because() const {
  std::set<std::string> all;
  for (const Told& told : told_) {
    if (is_member(*told.by) && told.by->lives() == told.life) all.insert(told.name);
  }
  std::map<const SimulatedNode*, std::set<std::string>> heard;
  for (const SimulatedNode* const node : members_) {
    for (const auto& event : node->node().events().after(0)) {
      if (!heard[node].insert(event.rumour.name).second) {
        return fmt::format("{} delivered {} twice", node->name(), event.rumour.name);
      }
      all.insert(event.rumour.name);
    }
  }
  for (const SimulatedNode* const node : members_) {
    for (const std::string& name : all) {
      if (!heard[node].contains(name)) {
        return fmt::format("{} has not heard of {}", node->name(), name);
      }
    }
  }
  return {};
}

}  // namespace grapevine::simulation
