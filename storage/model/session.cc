#include "storage/model/session.h"

#include <algorithm>
#include <bit>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <xxhash.h>

#include "storage/base/check.h"
#include "storage/base/limits.h"
#include "storage/model/bytes.h"
#include "storage/model/token.h"

namespace grapevine::model {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::size_t kChecksumBytes = 4;
constexpr XXH64_hash_t kKeySeed = 0x73657373696f6e;  // "session"

std::uint64_t hash_of(std::string_view key) {
  return XXH3_64bits_withSeed(key.data(), key.size(), kKeySeed);
}

std::uint32_t checksum_of(std::string_view bytes) {
  return static_cast<std::uint32_t>(XXH3_64bits_withSeed(bytes.data(), bytes.size(), kKeySeed));
}

absl::Status refused(std::string_view why) {
  return absl::InvalidArgumentError(
      fmt::format("session token: {}; hand back one as it was given out, or begin anew", why));
}

void insert(absl::InlinedVector<Dot, 1>& dots, Dot dot) {
  dots.insert(std::lower_bound(dots.begin(), dots.end(), dot), dot);
}
bool contains(const absl::InlinedVector<Dot, 1>& dots, Dot dot) {
  return std::binary_search(dots.begin(), dots.end(), dot);
}

// Actors by number: sorted, so that equal sessions have equal bytes.
using Actors = std::vector<ActorId>;

std::uint64_t index_of(const Actors& actors, ActorId actor) {
  return static_cast<std::uint64_t>(std::lower_bound(actors.begin(), actors.end(), actor) -
                                    actors.begin());
}

void put_dot(std::string& out, const Actors& actors, ActorId actor, std::uint64_t counter) {
  put_varint(out, index_of(actors, actor));
  put_varint(out, counter == kClosed ? 0 : counter);
}

void put_vector(std::string& out, const Actors& actors, const VersionVector& vector) {
  put_varint(out, vector.items().size());
  for (const auto& [actor, counter] : vector.items()) put_dot(out, actors, actor, counter);
}

// Fails the reader for an unknown actor or an impossible counter.
Dot take_dot(ByteReader& in, const Actors& actors) {
  const std::uint64_t index = in.varint();
  const std::uint64_t counter = in.varint();
  if (index >= actors.size() || counter > kCounterMax) in.fail();
  if (!in.ok()) return {};
  return {actors[index], counter == 0 ? kClosed : counter};
}

VersionVector take_vector(ByteReader& in, const Actors& actors) {
  VersionVector vector;
  const std::uint64_t count = in.varint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const Dot dot = take_dot(in, actors);
    if (in.ok()) vector.raise(dot);
  }
  return vector;
}

absl::InlinedVector<Dot, 1> take_live(ByteReader& in, const Actors& actors) {
  absl::InlinedVector<Dot, 1> live;
  const std::uint64_t count = in.varint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const Dot dot = take_dot(in, actors);
    if (dot.counter == kClosed) in.fail();
    if (in.ok()) live.push_back(dot);
  }
  if (!std::is_sorted(live.begin(), live.end())) in.fail();
  return live;
}

}  // namespace

Seen join(Seen left, const Seen& right) {
  Seen joined;
  for (const Dot dot : left.live) {
    if (contains(right.live, dot) || !right.vector.covers(dot)) insert(joined.live, dot);
  }
  for (const Dot dot : right.live) {
    if (!contains(left.live, dot) && !left.vector.covers(dot)) insert(joined.live, dot);
  }
  joined.vector = std::move(left.vector);
  joined.vector.raise(right.vector);
  return joined;
}

Seen seen_of(const Entry& entry) {
  Seen seen;
  for (const Version& version : entry.versions) seen.live.push_back(version.dot);
  seen.vector = entry.vector;
  return seen;
}

bool reaches(const Entry& entry, const Seen& seen) {
  if (!seen.exact) return entry.vector.covers(seen.vector);
  return std::all_of(seen.live.begin(), seen.live.end(),
                     [&](const Dot& dot) { return entry.vector.covers(dot); });
}

Entry join_seen(Entry entry, const Seen& seen) {
  if (!seen.exact) return entry;
  Entry known;
  known.vector = seen.vector;
  for (const Dot dot : seen.live) {
    Version version;
    version.dot = dot;
    version.has_value = false;
    known.insert(std::move(version));
  }
  return join(std::move(entry), std::move(known));
}

PartitionId Session::partition_of(std::string_view key) const {
  return Partitioning(scope_.partitions).of(key);
}

Seen Session::of(std::string_view key) const {
  if (!bound_) return {};
  if (const auto known = keys_.find(hash_of(key)); known != keys_.end()) return known->second.seen;
  const auto floor = floors_.find(partition_of(key));
  if (floor == floors_.end()) return {};
  return {.exact = false, .live = {}, .vector = floor->second};
}

void Session::note(std::string_view key, const Seen& seen) {
  GRAPEVINE_CHECK(bound_, "a session knows its cluster before it knows a key");
  const KeyHash hash = hash_of(key);
  const PartitionId partition = partition_of(key);
  if (seen.exact) {
    put(hash, partition, seen);
    fold_oldest();
    return;
  }
  if (!seen.vector.empty()) floor(partition).raise(seen.vector);
  fold(hash);
}

// What is known exactly must be all that is known: so a key that stands below the floor already, and
// of which this is not known to tell everything, goes the same way.
void Session::put(KeyHash key, PartitionId partition, Seen seen) {
  const auto known = keys_.find(key);
  if (known != keys_.end()) {
    known->second.seen = model::join(std::move(known->second.seen), seen);
    touch(key, known->second);
    return;
  }
  if (seen.nothing()) return;
  const auto floor = floors_.find(partition);
  const bool below = floor != floors_.end() && !seen.vector.covers(floor->second);
  Key& fresh = keys_[key];
  fresh.partition = partition;
  fresh.seen = std::move(seen);
  touch(key, fresh);
  if (below) fold(key);
}

void Session::touch(KeyHash key, Key& known) {
  if (known.used != 0) order_.erase(known.used);
  known.used = ++uses_;
  order_.emplace(known.used, key);
}

void Session::fold(KeyHash key) {
  const auto known = keys_.find(key);
  if (known == keys_.end()) return;
  const Seen& seen = known->second.seen;
  VersionVector& floor = this->floor(known->second.partition);
  floor.raise(seen.vector);
  for (const Dot dot : seen.live) floor.raise(dot);
  order_.erase(known->second.used);
  keys_.erase(known);
}

void Session::fold_oldest() {
  while (keys_.size() > keys_max_) fold(order_.begin()->second);
}

absl::Status Session::bind(const SessionScope& scope) {
  if (bound_ && scope_ != scope) {
    return refused("of another cluster, or of one with another number of partitions");
  }
  bound_ = true;
  scope_ = scope;
  return absl::OkStatus();
}

absl::Status Session::join(const Session& other) {
  if (!other.bound_) return absl::OkStatus();
  GRAPEVINE_RETURN_IF_ERROR(bind(other.scope_));
  // A key that one side knows exactly may stand below the floor of the other.
  std::vector<KeyHash> below;
  for (const auto& [key, known] : keys_) {
    const auto floor = other.floors_.find(known.partition);
    if (floor != other.floors_.end() && !other.keys_.contains(key) &&
        !known.seen.vector.covers(floor->second)) {
      below.push_back(key);
    }
  }
  for (const KeyHash key : below) fold(key);
  for (const auto& [used, key] : other.order_) {
    const Key& known = other.keys_.at(key);
    put(key, known.partition, known.seen);
  }
  for (const auto& [partition, vector] : other.floors_) floor(partition).raise(vector);
  fold_oldest();
  return absl::OkStatus();
}

Session Session::part_of(std::string_view key) const {
  if (!bound_) return Session(keys_max_);
  Session part(scope_, keys_max_);
  part.note(key, of(key));
  return part;
}

std::string Session::encode() const {
  if (!bound_) return {};
  std::set<ActorId> met;
  const auto meet = [&](const VersionVector& vector) {
    for (const auto& [actor, counter] : vector.items()) met.insert(actor);
  };
  for (const auto& [partition, vector] : floors_) meet(vector);
  for (const auto& [key, known] : keys_) {
    meet(known.seen.vector);
    for (const Dot dot : known.seen.live) met.insert(dot.actor);
  }
  const Actors actors(met.begin(), met.end());

  std::string out(1, static_cast<char>(kFormat));
  put_fixed64(out, scope_.cluster);
  out.push_back(static_cast<char>(std::countr_zero(scope_.partitions)));
  put_varint(out, actors.size());
  for (const ActorId actor : actors) put_fixed64(out, actor.value);
  put_varint(out, floors_.size());
  std::uint32_t from = 0;
  for (const auto& [partition, vector] : floors_) {
    put_varint(out, partition.value - from);
    put_vector(out, actors, vector);
    from = partition.value;
  }
  put_varint(out, keys_.size());
  for (const auto& [used, key] : order_) {
    const Key& known = keys_.at(key);
    put_fixed64(out, key);
    put_varint(out, known.partition.value);
    put_vector(out, actors, known.seen.vector);
    put_varint(out, known.seen.live.size());
    for (const Dot dot : known.seen.live) put_dot(out, actors, dot.actor, dot.counter);
  }
  return with_session_checksum(out);
}

absl::StatusOr<Session> Session::decode(std::string_view bytes, std::size_t keys_max) {
  if (bytes.empty()) return Session(keys_max);
  if (bytes.size() > kBytesMax) {
    return refused(fmt::format("{} bytes, at most {} are taken", bytes.size(), kBytesMax));
  }
  if (static_cast<std::uint8_t>(bytes.front()) != kFormat || bytes.size() < kChecksumBytes + 1) {
    return refused("not one that a node of this version gave out");
  }
  const std::string_view said = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (ByteReader(bytes.substr(said.size())).fixed32() != checksum_of(said)) {
    return refused("altered, or cut short");
  }

  ByteReader in(said.substr(1));
  SessionScope scope;
  scope.cluster = in.fixed64();
  const std::uint8_t bits = in.byte();
  if (bits > std::countr_zero(kPartitionsMax)) in.fail();
  scope.partitions = std::uint32_t{1} << (in.ok() ? bits : 0);
  Session session(scope, ~std::size_t{0});
  const auto in_range = [&](std::uint64_t partition) { return partition < scope.partitions; };

  Actors actors;
  const std::uint64_t actor_count = in.varint();
  for (std::uint64_t i = 0; i < actor_count && in.ok(); ++i) actors.push_back({in.fixed64()});
  const std::uint64_t floor_count = in.varint();
  std::uint64_t partition = 0;
  for (std::uint64_t i = 0; i < floor_count && in.ok(); ++i) {
    const std::uint64_t gap = in.varint();
    partition += std::min<std::uint64_t>(gap, kPartitionsMax);
    if (!in_range(partition)) in.fail();
    VersionVector vector = take_vector(in, actors);
    if (in.ok() && !vector.empty()) {
      session.floor({static_cast<std::uint32_t>(partition)}) = std::move(vector);
    }
  }
  const std::uint64_t key_count = in.varint();
  for (std::uint64_t i = 0; i < key_count && in.ok(); ++i) {
    const KeyHash hash = in.fixed64();
    const std::uint64_t its_partition = in.varint();
    if (!in_range(its_partition)) in.fail();
    Seen seen;
    seen.vector = take_vector(in, actors);
    seen.live = take_live(in, actors);
    if (!in.ok() || session.keys_.contains(hash)) break;
    Key& known = session.keys_[hash];
    known.partition = {static_cast<std::uint32_t>(its_partition)};
    known.seen = std::move(seen);
    session.touch(hash, known);
  }
  // One way to say it: whatever is out of order, double or unused shows here.
  if (!in.done() || session.encode() != bytes) return refused("malformed");
  session.keys_max_ = keys_max;
  session.fold_oldest();
  return session;
}

std::string with_session_checksum(std::string_view bytes) {
  std::string whole(bytes);
  put_fixed32(whole, checksum_of(bytes));
  return whole;
}

std::string encode_seen(const SessionScope& scope, std::string_view key, const Seen& seen) {
  Session session(scope);
  session.note(key, seen);
  return session.encode();
}

}  // namespace grapevine::model
