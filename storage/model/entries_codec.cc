#include "storage/model/entries_codec.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "absl/container/btree_map.h"
#include "storage/base/limits.h"
#include "storage/model/bytes.h"

namespace grapevine::model {
namespace {

constexpr std::uint8_t kFormat = 4;
constexpr std::size_t kHashesBytes = 16;
// Of a version; those of an entry's only version stand in its head.
enum Flag : std::uint8_t {
  kHasValue = 1,
  kHasWriteId = 2,
  kExpires = 4,
  kSameActor = 64,
  kSameTime = 128,
  kVersionFlags = kHasValue | kHasWriteId | kExpires | kSameActor | kSameTime
};
// Of an entry.
enum Head : std::uint8_t { kSingle = 8, kSameVector = 16, kEventsAreDots = 32 };

// In place of a counter that a vector has and that of the entry before has not.
constexpr std::uint64_t kGone = 0;
constexpr std::uint64_t kMarked = 1;
constexpr std::uint64_t kWhole = 2;      // and then the counter itself, if the step is no small one
constexpr std::uint64_t kFirstStep = 3;  // and beyond: how much larger it is, signed
constexpr std::uint64_t kSmallStep = std::uint64_t{1} << 32;
// In place of how many changes there are.
constexpr std::uint64_t kOneOfLast = 0;  // one, and of the actor of the last one

// A dot is told by how far it is behind what its entry's vector says of the actor, since what travels
// is mostly new. Where the vector has no number there, this is what it is behind of.
std::uint64_t told_from(const VersionVector& vector, ActorId actor) {
  const auto& items = vector.items();
  const auto item = std::find_if(items.begin(), items.end(),
                                 [&](const auto& known) { return known.first == actor; });
  return item == items.end() || item->second >= kClosed ? 0 : item->second;
}

std::uint64_t zigzag(std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  return (bits << 1) ^ (number < 0 ? ~std::uint64_t{0} : 0);
}
std::int64_t unzigzag(std::uint64_t bits) {
  return static_cast<std::int64_t>((bits >> 1) ^ ((bits & 1) != 0 ? ~std::uint64_t{0} : 0));
}
// These wrap around, so that hostile numbers cannot overflow.
std::int64_t difference_of(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::int64_t>(a - b);
}
std::int64_t difference(std::int64_t a, std::int64_t b) {
  return difference_of(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b));
}
std::int64_t sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

class Encoder {
 public:
  explicit Encoder(const std::vector<KeyedEntry>& entries) {
    if (!entries.empty()) before_ = entries.front().entry.vector;
    for (const KeyedEntry& keyed : entries) {
      if (keyed.entry.versions.empty()) continue;
      time_ = keyed.entry.versions.front().written.unix_ms;
      break;
    }
    last_time_ = time_;
    put_varint(body_, zigzag(time_));
    put_varint(body_, before_.items().size());
    for (const auto& [actor, counter] : before_.items()) put(Dot{actor, counter});
    put_varint(body_, entries.size());
    for (const KeyedEntry& keyed : entries) put(keyed);
  }

  std::string finish() {
    std::string out(1, static_cast<char>(kFormat));
    put_varint(out, actors_.size());
    for (const ActorId actor : actors_) put_fixed64(out, actor.value);
    out += body_;
    put_fixed64(out, value_checksum(out));
    return out;
  }

 private:
  void put_actor(ActorId actor) {
    const auto [known, added] = places_.try_emplace(actor, actors_.size());
    if (added) actors_.push_back(actor);
    put_varint(body_, known->second);
  }

  void put(const Dot& dot) {
    put_actor(dot.actor);
    put_varint(body_, dot.counter);
  }

  void put(const KeyedEntry& keyed) {
    const auto& versions = keyed.entry.versions;
    const std::vector<Dot> changes = changes_of(keyed.entry.vector);
    const auto is_of = [](Dot event, const Version& version) { return event == version.dot; };
    const bool events_are_dots = std::equal(keyed.events.begin(), keyed.events.end(),
                                            versions.begin(), versions.end(), is_of);
    const bool single = versions.size() == 1;
    body_ += static_cast<char>((single ? kSingle | flags_of(versions.front()) : 0) |
                               (changes.empty() ? kSameVector : 0) |
                               (events_are_dots ? kEventsAreDots : 0));
    put_bytes(body_, keyed.key);
    if (!changes.empty()) put_changes(changes);
    if (!single) put_varint(body_, versions.size());
    for (const Version& version : versions) {
      if (!single) body_ += static_cast<char>(flags_of(version));
      put(version, told_from(keyed.entry.vector, version.dot.actor));
    }
    if (!events_are_dots) put_dots({keyed.events.begin(), keyed.events.end()});
    before_ = keyed.entry.vector;
  }

  void put_dots(const std::vector<Dot>& dots) {
    put_varint(body_, dots.size());
    for (const Dot dot : dots) put(dot);
  }

  void put_changes(const std::vector<Dot>& changes) {
    const bool same_actor = changes.size() == 1 && changes.front().actor == last_changed_;
    put_varint(body_, same_actor ? kOneOfLast : changes.size());
    for (const Dot change : changes) {
      if (!same_actor) put_actor(change.actor);
      last_changed_ = change.actor;
      if (change.counter == 0 || change.counter == kClosed) {
        put_varint(body_, change.counter == 0 ? kGone : kMarked);
      } else {
        const std::uint64_t from = told_from(before_, change.actor);
        const std::uint64_t step = zigzag(difference_of(change.counter, from));
        put_varint(body_, step < kSmallStep ? kFirstStep + step : kWhole);
        if (step >= kSmallStep) put_varint(body_, change.counter);
      }
    }
  }

  // Of the items as they stand there: a marker implies what it closes, and is no item of it.
  std::vector<Dot> changes_of(const VersionVector& vector) const {
    std::vector<Dot> changes;
    const auto& mine = vector.items();
    const auto& common = before_.items();
    if (mine == common) return changes;
    for (const auto& item : mine) {
      if (std::find(common.begin(), common.end(), item) == common.end()) {
        changes.push_back({item.first, item.second});
      }
    }
    for (const auto& [actor, counter] : common) {
      const auto is_of = [of = actor](const auto& item) { return item.first == of; };
      if (std::none_of(mine.begin(), mine.end(), is_of)) changes.push_back({actor, 0});
    }
    return changes;
  }

  std::uint8_t flags_of(const Version& version) const {
    return static_cast<std::uint8_t>((version.has_value ? kHasValue : 0) |
                                     (version.write_id != 0 ? kHasWriteId : 0) |
                                     (version.expires.unix_ms != 0 ? kExpires : 0) |
                                     (version.dot.actor == last_actor_ ? kSameActor : 0) |
                                     (version.written.unix_ms == last_time_ ? kSameTime : 0));
  }

  // Its flags have been told.
  void put(const Version& version, std::uint64_t from) {
    if (version.dot.actor != last_actor_) put_actor(version.dot.actor);
    put_varint(body_, from > 0 ? from - version.dot.counter : version.dot.counter);
    if (version.written.unix_ms != last_time_) {
      put_varint(body_, zigzag(difference(version.written.unix_ms, time_)));
    }
    last_actor_ = version.dot.actor;
    last_time_ = version.written.unix_ms;
    if (version.write_id != 0) put_fixed32(body_, version.write_id);
    if (version.expires.unix_ms != 0) {
      put_varint(body_, zigzag(difference(version.expires.unix_ms, version.written.unix_ms)));
    }
    if (version.has_value) return put_bytes(body_, version.value);
    put_fixed64(body_, version.checksum);
    put_varint(body_, version.value_bytes);
  }

  VersionVector before_;    // of the entry before
  ActorId last_changed_{};  // in a vector
  std::int64_t time_ = 0;
  std::int64_t last_time_ = 0;  // of the version before
  ActorId last_actor_{};        // likewise
  std::vector<ActorId> actors_;
  absl::btree_map<ActorId, std::size_t> places_;
  std::string body_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : in_(bytes) {}

  absl::StatusOr<std::vector<KeyedEntry>> decode() {
    if (in_.byte() != kFormat) return wrong("an unknown format");
    for (std::uint64_t left = in_.varint(); left > 0 && in_.ok(); --left) {
      actors_.push_back(ActorId{in_.fixed64()});
    }
    time_ = unzigzag(in_.varint());
    last_time_ = time_;
    for (std::uint64_t left = in_.varint(); left > 0 && in_.ok(); --left) {
      const Dot top = dot();
      if (top.counter == 0 || top.counter > kClosed) in_.fail();
      before_.raise(top);
    }
    std::vector<KeyedEntry> entries;
    for (std::uint64_t left = in_.varint(); left > 0 && in_.ok(); --left) {
      GRAPEVINE_RETURN_IF_ERROR(read_entry(entries.emplace_back()));
    }
    if (!in_.done()) return wrong("malformed");
    return entries;
  }

 private:
  static absl::Status wrong(std::string_view what) {
    return absl::InvalidArgumentError(fmt::format("entries of a peer: {}", what));
  }

  Dot dot() {
    const std::uint64_t place = in_.varint();
    const std::uint64_t counter = in_.varint();
    if (place < actors_.size()) return {actors_[place], counter};
    in_.fail();
    return {};
  }

  absl::Status read_entry(KeyedEntry& keyed) {
    const std::uint8_t head = in_.byte();
    const bool single = (head & kSingle) != 0;
    if (!single && (head & kVersionFlags) != 0) in_.fail();
    keyed.key = in_.bytes();
    if (in_.ok() && (keyed.key.empty() || keyed.key.size() > kKeyBytesMax)) {
      return wrong(fmt::format("key of {} bytes", keyed.key.size()));
    }
    if ((head & kSameVector) == 0) GRAPEVINE_RETURN_IF_ERROR(read_changes());
    keyed.entry.vector = before_;
    for (std::uint64_t left = single ? 1 : in_.varint(); left > 0 && in_.ok(); --left) {
      Version version;
      const unsigned flags = single ? head & kVersionFlags : in_.byte();
      GRAPEVINE_RETURN_IF_ERROR(read_version(flags, keyed.entry.vector, version));
      if (!in_.ok()) break;
      if (keyed.entry.find(version.dot) != nullptr || !keyed.entry.vector.covers(version.dot)) {
        return wrong("a version twice, or not covered by its entry's vector");
      }
      keyed.entry.insert(std::move(version));
    }
    if ((head & kEventsAreDots) != 0) {
      for (const Version& version : keyed.entry.versions) keyed.events.push_back(version.dot);
      return absl::OkStatus();
    }
    for (std::uint64_t left = in_.varint(); left > 0 && in_.ok(); --left) {
      keyed.events.push_back(dot());
      GRAPEVINE_RETURN_IF_ERROR(check(keyed.events.back()));
    }
    return absl::OkStatus();
  }

  // Of the vector of the entry before.
  absl::Status read_changes() {
    VersionVector vector;
    std::vector<Dot> changes;
    const std::uint64_t told = in_.varint();
    const bool same_actor = told == kOneOfLast;
    for (std::uint64_t left = same_actor ? 1 : told; left > 0 && in_.ok(); --left) {
      Dot change = same_actor ? Dot{last_changed_, in_.varint()} : dot();
      last_changed_ = change.actor;
      if (change.counter < kWhole) {
        change.counter = change.counter == kGone ? 0 : kClosed;
      } else {
        const std::uint64_t from = told_from(before_, change.actor);
        change.counter =
            change.counter == kWhole
                ? in_.varint()
                : from + static_cast<std::uint64_t>(unzigzag(change.counter - kFirstStep));
        GRAPEVINE_RETURN_IF_ERROR(check(change));
      }
      changes.push_back(change);
    }
    const auto unchanged = [&](ActorId actor) {
      return std::none_of(changes.begin(), changes.end(),
                          [&](Dot change) { return change.actor == actor; });
    };
    for (const auto& [actor, counter] : before_.items()) {
      if (unchanged(actor)) vector.raise(actor, counter);
    }
    for (const Dot change : changes) {
      if (change.counter > 0) vector.raise(change);
    }
    before_ = std::move(vector);
    return absl::OkStatus();
  }

  absl::Status read_version(unsigned flags, const VersionVector& vector, Version& version) {
    if ((flags & ~unsigned{kVersionFlags}) != 0) in_.fail();
    version.dot = (flags & kSameActor) != 0 ? Dot{last_actor_, in_.varint()} : dot();
    const std::uint64_t from = told_from(vector, version.dot.actor);
    if (from > 0) version.dot.counter = from - version.dot.counter;
    GRAPEVINE_RETURN_IF_ERROR(check(version.dot));
    version.written.unix_ms =
        (flags & kSameTime) != 0 ? last_time_ : sum(time_, unzigzag(in_.varint()));
    last_actor_ = version.dot.actor;
    last_time_ = version.written.unix_ms;
    if ((flags & kHasWriteId) != 0) version.write_id = in_.fixed32();
    if ((flags & kExpires) != 0) {
      version.expires.unix_ms = sum(version.written.unix_ms, unzigzag(in_.varint()));
    }
    version.has_value = (flags & kHasValue) != 0;
    if (version.has_value) {
      version.value = in_.bytes();
      version.value_bytes = version.value.size();
      version.checksum = value_checksum(version.value);
    } else {
      version.checksum = in_.fixed64();
      version.value_bytes = in_.varint();
    }
    if (version.value_bytes <= kValueBytesMax) return absl::OkStatus();
    return wrong(
        fmt::format("a value of {} bytes, the limit is {}", version.value_bytes, kValueBytesMax));
  }

  absl::Status check(Dot dot) const {
    if (!in_.ok() || (dot.counter > 0 && dot.counter <= kCounterMax)) return absl::OkStatus();
    return wrong(fmt::format("an impossible counter, {}", dot.counter));
  }

  ByteReader in_;
  std::vector<ActorId> actors_;
  std::int64_t time_ = 0;
  std::int64_t last_time_ = 0;
  ActorId last_actor_{};
  ActorId last_changed_{};
  VersionVector before_;
};

}  // namespace

std::string encode_entries(const std::vector<KeyedEntry>& entries) {
  return Encoder(entries).finish();
}

absl::StatusOr<std::vector<KeyedEntry>> decode_entries(std::string_view bytes) {
  constexpr std::size_t kChecksumBytes = 8;
  if (bytes.size() < kChecksumBytes) {
    return absl::InvalidArgumentError("entries of a peer: cut off");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  ByteReader checksum(bytes.substr(body.size()));
  if (checksum.fixed64() != value_checksum(body)) {
    return absl::InvalidArgumentError("entries of a peer: they do not match their checksum");
  }
  return Decoder(body).decode();
}

std::string encode_hashes(const std::vector<Item>& items) {
  std::string out;
  out.reserve(items.size() * kHashesBytes);
  for (const Item& item : items) {
    put_fixed64(out, item.key_hash);
    put_fixed64(out, item.digest);
  }
  return out;
}

absl::StatusOr<std::vector<Item>> decode_hashes(std::string_view bytes) {
  if (bytes.size() % kHashesBytes != 0) {
    return absl::InvalidArgumentError(
        fmt::format("items of a peer: {} bytes, no multiple of {}", bytes.size(), kHashesBytes));
  }
  std::vector<Item> items;
  items.reserve(bytes.size() / kHashesBytes);
  ByteReader in(bytes);
  while (in.left() > 0) {
    Item& item = items.emplace_back();
    item.key_hash = in.fixed64();
    item.digest = in.fixed64();
  }
  return items;
}

}  // namespace grapevine::model
