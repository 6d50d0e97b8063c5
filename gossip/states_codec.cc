#include "gossip/states_codec.h"

#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <xxhash.h>

#include "storage/base/limits.h"
#include "storage/model/bytes.h"

namespace grapevine::gossip {
namespace {

constexpr std::uint64_t kNone = 0;
constexpr std::uint64_t kIsClosed = 1;
constexpr std::uint64_t kFirstHead = 2;
// A base beyond is told as the first of the intervals, so that no head overflows.
constexpr std::uint64_t kBaseMax = model::kCounterMax / 2;

absl::Status malformed(const char* what) {
  return absl::InvalidArgumentError(fmt::format("message of a peer: malformed {}", what));
}

void put_counters(std::string& out, const model::CounterSet* counters) {
  if (counters == nullptr) return model::put_varint(out, kNone);
  if (counters->base() == model::kClosed) return model::put_varint(out, kIsClosed);
  std::uint64_t base = counters->base();
  std::vector<model::CounterSet::Interval> above = counters->above();
  if (base > kBaseMax) {
    above.insert(above.begin(), {1, base});
    base = 0;
  }
  model::put_varint(out, kFirstHead + 2 * base + (above.empty() ? 0 : 1));
  if (above.empty()) return;
  model::put_varint(out, above.size());
  std::uint64_t before = base;
  for (const auto& interval : above) {
    model::put_varint(out, interval.first - before - 1);
    model::put_varint(out, interval.last - interval.first);
    before = interval.last;
  }
}

// What put_counters wrote, into the clock.
void read_counters(model::ByteReader& in, ActorId actor, model::Clock& clock) {
  const std::uint64_t head = in.varint();
  if (!in.ok() || head == kNone) return;
  if (head == kIsClosed) {
    if (!clock.close(actor.node(), actor.epoch())) in.fail();
    return;
  }
  const std::uint64_t base = (head - kFirstHead) / 2;
  const bool has_above = (head - kFirstHead) % 2 != 0;
  if (base > kBaseMax || (base == 0 && !has_above) || clock.closed(actor)) {
    return in.fail();
  }
  if (base > 0) clock.add(model::DotRange{actor, 1, base});
  if (!has_above) return;
  const std::uint64_t intervals = in.varint();
  if (intervals == 0) return in.fail();
  std::uint64_t before = base;
  for (std::uint64_t i = 0; i < intervals && in.ok(); ++i) {
    const std::uint64_t gap = in.varint();
    const std::uint64_t length = in.varint();
    if (!in.ok() || gap > model::kCounterMax || length > model::kCounterMax ||
        before + 1 > model::kCounterMax - gap || before + 1 + gap > model::kCounterMax - length) {
      return in.fail();
    }
    const std::uint64_t first = before + 1 + gap;
    before = first + length;
    clock.add(model::DotRange{actor, first, before});
  }
}

}  // namespace

std::string encode_states(const std::vector<PartitionState>& states) {
  std::set<ActorId> actors;
  for (const PartitionState& state : states) {
    for (const auto& [actor, counters] : state.clock.actors()) actors.insert(actor);
  }
  std::string out;
  model::put_varint(out, actors.size());
  for (const ActorId actor : actors) model::put_fixed64(out, actor.value);
  model::put_varint(out, states.size());
  std::uint32_t next = 0;
  for (const PartitionState& state : states) {
    model::put_varint(out, state.partition.value - next);
    next = state.partition.value + 1;
    model::put_fixed64(out, state.root.sum.low);
    model::put_varint(out, 2 * std::uint64_t{state.root.unquiet} + (state.log_reaches ? 1 : 0));
    const auto& of = state.clock.actors();
    for (const ActorId actor : actors) {
      const auto counters = of.find(actor);
      put_counters(out, counters == of.end() ? nullptr : &counters->second);
    }
  }
  return out;
}

absl::StatusOr<std::vector<PartitionState>> decode_states(std::string_view bytes) {
  model::ByteReader in(bytes);
  const std::uint64_t actor_count = in.varint();
  if (!in.ok() || actor_count > in.left() / 8) return malformed("states");
  std::vector<ActorId> actors(actor_count);
  for (std::size_t i = 0; i < actors.size(); ++i) {
    actors[i] = ActorId{in.fixed64()};
    if (i > 0 && !(actors[i - 1] < actors[i])) return malformed("states");
  }
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > in.left()) return malformed("states");
  std::vector<PartitionState> states(count);
  std::uint64_t next = 0;
  for (PartitionState& state : states) {
    const std::uint64_t gap = in.varint();
    if (!in.ok() || gap >= kPartitionsMax - next) return malformed("states");
    state.partition = PartitionId{static_cast<std::uint32_t>(next + gap)};
    next += gap + 1;
    state.root.sum.low = in.fixed64();
    const std::uint64_t unquiet = in.varint();
    if (unquiet / 2 > 0xffffffff) return malformed("states");
    state.root.unquiet = static_cast<std::uint32_t>(unquiet / 2);
    state.log_reaches = unquiet % 2 != 0;
    for (const ActorId actor : actors) read_counters(in, actor, state.clock);
    if (!in.ok()) return malformed("states");
  }
  // There is one way to say it.
  if (!in.done() || encode_states(states) != bytes) return malformed("states");
  return states;
}

std::uint64_t hash_states(std::vector<PartitionState> states) {
  for (PartitionState& state : states) state.log_reaches = true;
  const std::string bytes = encode_states(states);
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string encode_fingerprints(const std::vector<Fingerprint>& fingerprints) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> runs;  // first, length
  for (const Fingerprint& fingerprint : fingerprints) {
    const std::uint32_t partition = fingerprint.partition.value;
    if (!runs.empty() && runs.back().first + runs.back().second == partition) {
      ++runs.back().second;
    } else {
      runs.emplace_back(partition, 1);
    }
  }
  std::string out;
  model::put_varint(out, runs.size());
  std::uint32_t next = 0;
  for (const auto& [first, length] : runs) {
    model::put_varint(out, first - next);
    model::put_varint(out, length - 1);
    next = first + length;
  }
  for (const Fingerprint& fingerprint : fingerprints) {
    out.push_back(static_cast<char>(fingerprint.print & 0xff));
    out.push_back(static_cast<char>(fingerprint.print >> 8));
  }
  return out;
}

absl::StatusOr<std::vector<Fingerprint>> decode_fingerprints(std::string_view bytes) {
  model::ByteReader in(bytes);
  std::vector<Fingerprint> fingerprints;
  const std::uint64_t runs = in.varint();
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < runs && in.ok(); ++i) {
    const std::uint64_t gap = in.varint();
    const std::uint64_t rest = in.varint();
    if (!in.ok() || gap >= kPartitionsMax - next || rest >= kPartitionsMax - next - gap) {
      return malformed("fingerprints");
    }
    next += gap;
    for (std::uint64_t n = 0; n <= rest; ++n) {
      fingerprints.push_back({PartitionId{static_cast<std::uint32_t>(next++)}, 0});
    }
  }
  for (Fingerprint& fingerprint : fingerprints) {
    const std::uint16_t low = in.byte();
    fingerprint.print = static_cast<std::uint16_t>(low | in.byte() << 8);
  }
  if (!in.done() || encode_fingerprints(fingerprints) != bytes) return malformed("fingerprints");
  return fingerprints;
}

std::string encode_slots(const std::vector<model::Slot>& slots) {
  std::string out;
  model::put_varint(out, slots.size());
  std::uint64_t next = 0;
  for (const model::Slot slot : slots) {
    model::put_varint(out, slot - next);
    next = std::uint64_t{slot} + 1;
  }
  return out;
}

absl::StatusOr<std::vector<model::Slot>> decode_slots(std::string_view bytes) {
  model::ByteReader in(bytes);
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > in.left()) return malformed("slots");
  std::vector<model::Slot> slots(count);
  std::uint64_t next = 0;
  for (model::Slot& slot : slots) {
    const std::uint64_t gap = in.varint();
    if (!in.ok() || gap > 0xffffffff || next + gap > 0xffffffff) return malformed("slots");
    slot = static_cast<model::Slot>(next + gap);
    next += gap + 1;
  }
  if (!in.done()) return malformed("slots");
  return slots;
}

}  // namespace grapevine::gossip
