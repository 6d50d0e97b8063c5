#include "storage/model/entry.h"

#include <algorithm>

#include <xxhash.h>

#include "storage/base/check.h"

namespace grapevine::model {
namespace {

auto by_dot = [](const Version& version, Dot dot) { return version.dot < dot; };

}  // namespace

std::uint64_t value_checksum(std::string_view value) {
  return XXH3_64bits(value.data(), value.size());
}

void drop_value(Version& version) {
  version.has_value = false;
  version.value.clear();
}

const Version* Entry::find(Dot dot) const {
  const auto place = std::lower_bound(versions.begin(), versions.end(), dot, by_dot);
  return place == versions.end() || place->dot != dot ? nullptr : &*place;
}

void Entry::insert(Version version) {
  const auto place = std::lower_bound(versions.begin(), versions.end(), version.dot, by_dot);
  GRAPEVINE_CHECK(place == versions.end() || place->dot != version.dot, "a dot names one version");
  versions.insert(place, std::move(version));
}

bool Entry::same_dots(const Entry& other) const {
  return std::equal(versions.begin(), versions.end(), other.versions.begin(), other.versions.end(),
                    [](const Version& a, const Version& b) { return a.dot == b.dot; });
}

void fill(Entry& entry, const Clock& clock) {
  for (const auto& [actor, counters] : clock.actors()) entry.vector.raise(actor, counters.base());
  for (const Version& version : entry.versions) entry.vector.raise(version.dot);
}

void strip(Entry& entry, const Clock& clock) {
  entry.vector.keep_if([&](ActorId actor, std::uint64_t counter) {
    std::uint64_t implied = clock.base(actor);
    for (const Version& version : entry.versions) {
      if (version.dot.actor == actor) implied = std::max(implied, version.dot.counter);
    }
    return counter > implied;
  });
}

bool drop_expired(Entry& entry, WallTime now) {
  const auto expired = [&](const Version& version) { return version.expired(now); };
  const auto from = std::remove_if(entry.versions.begin(), entry.versions.end(), expired);
  const bool any = from != entry.versions.end();
  entry.versions.erase(from, entry.versions.end());
  return any;
}

Entry join(Entry left, Entry right) {
  Entry joined;
  for (Version& version : left.versions) {
    const Version* theirs = right.find(version.dot);
    if (theirs == nullptr && right.vector.covers(version.dot)) continue;
    if (theirs != nullptr && !version.has_value && theirs->has_value) version = *theirs;
    joined.versions.push_back(std::move(version));
  }
  for (Version& version : right.versions) {
    if (joined.find(version.dot) == nullptr && !left.vector.covers(version.dot)) {
      joined.insert(std::move(version));
    }
  }
  joined.vector = std::move(left.vector);
  joined.vector.raise(right.vector);
  return joined;
}

}  // namespace grapevine::model
