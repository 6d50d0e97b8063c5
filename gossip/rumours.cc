#include "gossip/rumours.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "storage/model/bytes.h"

namespace grapevine::gossip {
namespace {

std::size_t bytes_of(const Rumour& rumour) {
  return sizeof(Rumour) + rumour.name.size() + rumour.payload.size();
}

bool too_long(const Rumour& rumour) {
  return rumour.name.size() > Rumour::kNameBytesMax ||
         rumour.payload.size() > Rumour::kPayloadBytesMax;
}

}  // namespace

absl::StatusOr<Rumour> Rumours::tell(std::string name, std::string payload, Instant now) {
  Rumour rumour{RumourId{self_, last_ + 1}, 0, std::move(name), std::move(payload)};
  if (too_long(rumour)) {
    return absl::InvalidArgumentError(
        "a rumour has a name of at most 64 bytes and a payload of at most 1024");
  }
  const double refill = std::chrono::duration<double>(now - tokens_at_) /
                        std::chrono::duration<double>(kTellInterval);
  tokens_ = std::min<double>(kBurst, tokens_ + refill);
  tokens_at_ = now;
  if (tokens_ < 1) {
    return absl::ResourceExhaustedError("too many rumours at once; try again in a second");
  }
  tokens_ -= 1;
  ++last_;
  hold(rumour, now);
  return rumour;
}

bool Rumours::hear(const Rumour& rumour, Instant now) {
  if (rumour.id.origin == self_) {
    // Of an earlier life: go on above it.
    last_ = std::max(last_, rumour.id.sequence);
  }
  const Duration age = std::chrono::seconds(rumour.age_seconds);
  if (too_long(rumour) || age >= kAgeMax || held_.contains(rumour.id)) return false;
  const auto forgotten = forgotten_.find(rumour.id.origin);
  if (forgotten != forgotten_.end() && rumour.id.sequence <= forgotten->second) return false;
  if (forgotten == forgotten_.end() && forgotten_.size() >= kOriginsMax) return false;
  hold(rumour, now - age);
  return true;
}

void Rumours::hold(const Rumour& rumour, Instant told) {
  const std::size_t bytes = bytes_of(rumour);
  held_.emplace(rumour.id, Held{rumour, told});
  by_age_.emplace(std::pair(told, rumour.id), bytes);
  bytes_ += bytes;
  while (held_.size() > kCountMax || bytes_ > kBytesMax) forget_oldest();
}

void Rumours::forget_oldest() {
  const auto oldest = by_age_.begin();
  const RumourId id = oldest->first.second;
  std::uint64_t& forgotten = forgotten_[id.origin];
  forgotten = std::max(forgotten, id.sequence);
  bytes_ -= oldest->second;
  held_.erase(id);
  by_age_.erase(oldest);
}

void Rumours::tick(Instant now) {
  while (!by_age_.empty() && next_deadline() <= now) forget_oldest();
}

std::vector<Rumour> Rumours::all(Instant now) const {
  return lacking({}, now);
}

std::vector<Rumour> Rumours::lacking(const std::vector<Rumour>& there, Instant now) const {
  std::vector<RumourId> known;
  for (const Rumour& rumour : there) known.push_back(rumour.id);
  std::sort(known.begin(), known.end());
  std::vector<Rumour> lacking;
  for (const auto& [id, held] : held_) {
    if (std::binary_search(known.begin(), known.end(), id)) continue;
    lacking.push_back(held.rumour);
    lacking.back().age_seconds = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(now - held.told).count());
  }
  return lacking;
}

std::uint64_t Rumours::hash() const {
  std::string bytes;
  for (const auto& [id, held] : held_) {
    model::put_fixed64(bytes, id.origin.value);
    model::put_fixed64(bytes, id.sequence);
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

Instant Rumours::next_deadline() const {
  if (by_age_.empty()) return Instant{Duration::max()};
  return by_age_.begin()->first.first + kAgeMax;
}

}  // namespace grapevine::gossip
