// RapidCheck generators for storage/model.
//
// Two worlds. The small one has three actors (two lives of one node, and another node) and counters
// up to 10, so that values meet, cover and supersede each other all the time, and some are closed:
// it is what rc::gen::arbitrary gives. The wide one reaches every actor, counters up to kCounterMax,
// markers and any bytes: it is for encodings.
//
// In both, a dot names one version: version_of(dot) is a function of the dot.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <rapidcheck.h>

#include "storage/model/clock.h"
#include "storage/model/digest.h"
#include "storage/model/entry.h"
#include "storage/model/token.h"
#include "storage/model/version_vector.h"

namespace grapevine::model {

inline constexpr std::uint64_t kSmallCounterMax = 10;
inline constexpr std::size_t kSmallActors = 3;

inline ActorId small_actor(std::size_t index) {
  return index < 2 ? ActorId::of(NodeId{1}, index) : ActorId::of(NodeId{2}, 0);
}

inline Version version_with(Dot dot, std::string value) {
  Version version;
  version.dot = dot;
  version.written = {static_cast<std::int64_t>(dot.counter % 1'000'000'000 * 1000)};
  version.write_id = short_write_id(dot.actor.value ^ (dot.counter << 32));
  version.checksum = value_checksum(value);
  version.value_bytes = value.size();
  version.value = std::move(value);
  return version;
}

inline Version version_of(Dot dot) {
  return version_with(dot, fmt::format("{}:{}", to_string(dot.actor), dot.counter));
}

// An entry that knows of each actor what `tops` says, and holds those of `live` which that covers.
inline Entry filled_entry(const VersionVector& tops, const std::vector<Dot>& live) {
  Entry entry;
  entry.vector = tops;
  for (const Dot dot : live) {
    if (tops.covers(dot) && entry.find(dot) == nullptr) entry.insert(version_of(dot));
  }
  return entry;
}

inline rc::Gen<Dot> any_small_dot() {
  return rc::gen::construct<Dot>(
      rc::gen::map(rc::gen::inRange<std::size_t>(0, kSmallActors), small_actor),
      rc::gen::inRange<std::uint64_t>(1, kSmallCounterMax + 1));
}

inline rc::Gen<DotRange> any_small_range() {
  return rc::gen::map(rc::gen::pair(any_small_dot(), any_small_dot()), [](const auto& ends) {
    return DotRange{ends.first.actor, std::min(ends.first.counter, ends.second.counter),
                    std::max(ends.first.counter, ends.second.counter)};
  });
}

// For each actor a base and a bit for each counter above it: gaps, runs and empty sets are all
// common. Beyond half of all counters stands that it is closed.
inline rc::Gen<Clock> any_small_clock() {
  const auto counters = rc::gen::pair(
      rc::gen::inRange<std::uint64_t>(0, kSmallCounterMax / 2 + 2),
      rc::gen::container<std::vector<bool>>(kSmallCounterMax, rc::gen::arbitrary<bool>()));
  return rc::gen::map(rc::gen::container<std::vector<std::pair<std::uint64_t, std::vector<bool>>>>(
                          kSmallActors, counters),
                      [](const std::vector<std::pair<std::uint64_t, std::vector<bool>>>& drawn) {
                        Clock clock;
                        for (std::size_t i = 0; i < kSmallActors; ++i) {
                          const auto& [base, above] = drawn[i];
                          const ActorId actor = small_actor(i);
                          if (base > kSmallCounterMax / 2) {
                            clock.close(actor.node(), actor.epoch());
                            continue;
                          }
                          for (std::uint64_t n = 1; n <= kSmallCounterMax; ++n) {
                            if (n <= base || (n > base + 1 && above[n - 1]))
                              clock.add(Dot{actor, n});
                          }
                        }
                        return clock;
                      });
}

inline rc::Gen<VersionVector> any_small_vector() {
  return rc::gen::map(rc::gen::container<std::vector<std::uint64_t>>(
                          kSmallActors, rc::gen::inRange<std::uint64_t>(0, kSmallCounterMax + 2)),
                      [](const std::vector<std::uint64_t>& tops) {
                        VersionVector vector;
                        for (std::size_t i = 0; i < kSmallActors; ++i) {
                          vector.raise(small_actor(i),
                                       tops[i] > kSmallCounterMax ? kClosed : tops[i]);
                        }
                        return vector;
                      });
}

// Live versions are covered by the vector, as in every entry that travels.
inline rc::Gen<Entry> any_filled_entry() {
  return rc::gen::map(
      rc::gen::pair(any_small_vector(), rc::gen::container<std::vector<Dot>>(6, any_small_dot())),
      [](const auto& drawn) { return filled_entry(drawn.first, drawn.second); });
}

// Counters around the edges of their encoding, and anywhere.
inline rc::Gen<std::uint64_t> any_wide_counter() {
  return rc::gen::oneOf(
      rc::gen::element<std::uint64_t>(1, 2, 127, 128, 129, 16'383, 16'384, std::uint64_t{1} << 32,
                                      kCounterMax - 1, kCounterMax),
      rc::gen::map(rc::gen::arbitrary<std::uint64_t>(),
                   [](std::uint64_t drawn) { return drawn % kCounterMax + 1; }),
      rc::gen::inRange<std::uint64_t>(1, 40));
}

inline rc::Gen<Dot> any_wide_dot() {
  return rc::gen::construct<Dot>(rc::gen::construct<ActorId>(rc::gen::arbitrary<std::uint64_t>()),
                                 any_wide_counter());
}

inline rc::Gen<Clock> any_wide_clock() {
  const auto range =
      rc::gen::pair(rc::gen::oneOf(any_wide_dot(), any_small_dot()),
                    rc::gen::oneOf(rc::gen::just<std::uint64_t>(1), any_wide_counter(),
                                   rc::gen::element<std::uint64_t>(1, 2, kClosed)));
  return rc::gen::map(rc::gen::container<std::vector<std::pair<Dot, std::uint64_t>>>(range),
                      [](const std::vector<std::pair<Dot, std::uint64_t>>& drawn) {
                        Clock clock;
                        for (const auto& [dot, length] : drawn) {
                          const std::uint64_t room = kCounterMax - dot.counter;
                          const std::uint64_t last = length == kClosed
                                                         ? kClosed
                                                         : dot.counter + std::min(length - 1, room);
                          clock.add(DotRange{dot.actor, dot.counter, last});
                        }
                        return clock;
                      });
}

inline rc::Gen<VersionVector> any_wide_vector() {
  const auto top = rc::gen::construct<Dot>(
      rc::gen::map(rc::gen::oneOf(any_wide_dot(), any_small_dot()),
                   [](const Dot& dot) { return dot.actor; }),
      rc::gen::oneOf(any_wide_counter(), rc::gen::element<std::uint64_t>(1, kClosed)));
  return rc::gen::map(rc::gen::container<std::vector<Dot>>(top), [](const std::vector<Dot>& tops) {
    VersionVector vector;
    for (const Dot dot : tops) vector.raise(dot);
    return vector;
  });
}

inline rc::Gen<Version> any_wide_version() {
  return rc::gen::map(
      rc::gen::tuple(
          any_wide_dot(), rc::gen::arbitrary<std::string>(), rc::gen::arbitrary<std::int64_t>(),
          rc::gen::arbitrary<std::uint32_t>(), rc::gen::arbitrary<std::int64_t>(),
          rc::gen::weightedOneOf<std::size_t>({{9, rc::gen::just<std::size_t>(0)},
                                               {1, rc::gen::inRange<std::size_t>(4'000, 5'000)}})),
      [](std::tuple<Dot, std::string, std::int64_t, std::uint32_t, std::int64_t, std::size_t>
             drawn) {
        std::string value = std::move(std::get<1>(drawn));
        value.append(std::get<5>(drawn), 'v');
        Version version = version_with(std::get<0>(drawn), std::move(value));
        version.written = {std::get<2>(drawn)};
        version.write_id = std::get<3>(drawn);
        version.expires = {std::get<4>(drawn)};
        return version;
      });
}

// An entry as it may be stored: any versions, any vector, but not neither.
inline rc::Gen<Entry> any_wide_entry() {
  return rc::gen::suchThat(
      rc::gen::map(rc::gen::pair(rc::gen::container<std::vector<Version>>(any_wide_version()),
                                 rc::gen::oneOf(rc::gen::just(VersionVector{}), any_wide_vector())),
                   [](const std::pair<std::vector<Version>, VersionVector>& drawn) {
                     Entry entry;
                     entry.vector = drawn.second;
                     for (const Version& version : drawn.first) {
                       if (entry.find(version.dot) == nullptr) entry.insert(version);
                     }
                     return entry;
                   }),
      [](const Entry& entry) { return !entry.void_of_all(); });
}

// `bytes` after one to four edits: a bit flipped, a byte set, put in or taken out, the end cut off.
inline rc::Gen<std::string> mutated(std::string bytes) {
  using Edit = std::tuple<std::uint32_t, std::uint8_t, char>;
  const auto edit =
      rc::gen::tuple(rc::gen::arbitrary<std::uint32_t>(), rc::gen::inRange<std::uint8_t>(0, 5),
                     rc::gen::arbitrary<char>());
  const auto edits =
      rc::gen::suchThat(rc::gen::container<std::vector<Edit>>(edit),
                        [](const std::vector<Edit>& drawn) { return !drawn.empty(); });
  return rc::gen::map(edits, [bytes](const std::vector<Edit>& drawn) {
    std::string out = bytes;
    for (std::size_t i = 0; i < std::min<std::size_t>(drawn.size(), 4); ++i) {
      const auto [place, kind, byte] = drawn[i];
      const std::size_t at = out.empty() ? 0 : place % out.size();
      if (out.empty() || kind == 2) {
        out.insert(at, 1, byte);
      } else if (kind == 0) {
        out[at] = static_cast<char>(out[at] ^ (1 << (place / 7 % 8)));
      } else if (kind == 1) {
        out[at] = byte;
      } else if (kind == 3) {
        out.erase(at, 1);
      } else {
        out.resize(at);
      }
    }
    return out;
  });
}

// How a failed property shows its values.
inline void showValue(const Dot& dot, std::ostream& out) {
  out << to_string(dot.actor) << ':' << dot.counter;
}
inline void showValue(const DotRange& range, std::ostream& out) {
  out << to_string(range.actor) << ':' << range.first << '-' << range.last;
}
inline void showValue(const Clock& clock, std::ostream& out) {
  out << to_string(clock);
}
inline void showValue(const VersionVector& vector, std::ostream& out) {
  for (const auto& [actor, counter] : vector.items()) {
    out << to_string(actor) << ':' << counter << ' ';
  }
}
inline void showValue(const Entry& entry, std::ostream& out) {
  out << "live";
  for (const Version& version : entry.versions) {
    out << ' ';
    showValue(version.dot, out);
  }
  out << " vector ";
  showValue(entry.vector, out);
}

}  // namespace grapevine::model

namespace rc {

template <>
struct Arbitrary<grapevine::model::Dot> {
  static Gen<grapevine::model::Dot> arbitrary() { return grapevine::model::any_small_dot(); }
};
template <>
struct Arbitrary<grapevine::model::DotRange> {
  static Gen<grapevine::model::DotRange> arbitrary() { return grapevine::model::any_small_range(); }
};
template <>
struct Arbitrary<grapevine::model::Clock> {
  static Gen<grapevine::model::Clock> arbitrary() { return grapevine::model::any_small_clock(); }
};
template <>
struct Arbitrary<grapevine::model::VersionVector> {
  static Gen<grapevine::model::VersionVector> arbitrary() {
    return grapevine::model::any_small_vector();
  }
};
template <>
struct Arbitrary<grapevine::model::Entry> {
  static Gen<grapevine::model::Entry> arbitrary() { return grapevine::model::any_filled_entry(); }
};

}  // namespace rc
