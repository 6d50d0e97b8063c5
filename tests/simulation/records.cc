#include "tests/simulation/records.h"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "storage/base/check.h"
#include "storage/model/context.h"
#include "tests/simulation/world.h"

namespace grapevine::simulation {
namespace {

std::string name_of(model::Dot dot) {
  return fmt::format("{:x}:{}", dot.actor.value, dot.counter);
}
std::string name_of(const WriteRecord& record) {
  return fmt::format("write {} ({}{})", record.number, record.removes ? "a removal" : "a put",
                     record.dot ? ", dot " + name_of(*record.dot) : "");
}
model::Dot dot_of(const WriteName& name) {
  return {ActorId{name.actor}, name.counter};
}

// Whether a read in a session that knew `before` may find this. `lasting`: what does not expire; what
// does may have gone by one node's clock, and be there by another's.
std::optional<std::string> check_session(const std::string& key, const SessionRecord::OfKey& before,
                                         const SessionRecord::Live& found,
                                         const SessionRecord::Live& lasting,
                                         const model::VersionVector& context) {
  const auto holds = [](const SessionRecord::Live& live, WriteNumber number) {
    return std::any_of(live.begin(), live.end(),
                       [&](const auto& one) { return one.second == number; });
  };
  for (const auto& [dot, number] : before.live) {
    if (context.covers(dot) || holds(found, number)) continue;
    return fmt::format(
        "a read of '{}' does not know of write {}, dot {}, which its session had written or found "
        "there",
        key, number, name_of(dot));
  }
  for (const auto& [dot, number] : lasting) {
    if (!before.covers.covers(dot) || holds(before.live, number)) continue;
    return fmt::format(
        "a read of '{}' got write {}, dot {}, which its session knew to be superseded", key, number,
        name_of(dot));
  }
  return std::nullopt;
}

}  // namespace

std::string value_of(WriteNumber number, std::size_t size) {
  std::string value = fmt::format("{}:", number);
  if (value.size() < size) value.resize(size, static_cast<char>('a' + number % 26));
  return value;
}

std::optional<WriteNumber> number_of(std::string_view value) {
  WriteNumber number = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr == value.data() + value.size() || *parsed.ptr != ':') {
    return std::nullopt;
  }
  return number;
}

void SessionRecord::note(const std::string& key, const Live& live,
                         const model::VersionVector& context) {
  OfKey& known = keys_[key];
  // A write that was sent twice may stand under two dots, of which a read tells one.
  std::set<WriteNumber> held;
  for (const auto& [dot, number] : known.live) held.insert(number);
  std::erase_if(known.live, [&](const auto& one) {
    return context.covers(one.first) && !live.contains(one.first);
  });
  // What ends later may have been carried out earlier.
  for (const auto& [dot, number] : live) {
    if (!known.covers.covers(dot) || held.contains(number)) known.live.emplace(dot, number);
  }
  known.covers.raise(context);
}

std::size_t Records::required(Consistency consistency) const {
  switch (consistency) {
    case Consistency::kOne: return 1;
    case Consistency::kQuorum: return owners_ / 2 + 1;
    case Consistency::kAll: return owners_;
  }
  return owners_;
}

WriteNumber Records::begin_write(const Operation& operation, Instant now) {
  auto record = std::make_unique<WriteRecord>();
  record->number = writes_.size() + 1;
  record->begun = now;
  const auto take_context = [&](const std::optional<std::string>& context) {
    if (!context.has_value()) return;
    record->context.emplace();
    if (context->empty()) return;
    auto decoded = model::decode_context(record->key, *context);
    GRAPEVINE_CHECK(decoded.ok(), "a context that a node gave cannot be read");
    record->context = *std::move(decoded);
  };
  if (const auto* put = std::get_if<Put>(&operation)) {
    record->key = put->key;
    record->consistency = put->consistency;
    record->expires = put->ttl.has_value();
    take_context(put->context);
  } else {
    const auto& remove = std::get<Remove>(operation);
    record->key = remove.key;
    record->consistency = remove.consistency;
    record->removes = true;
    take_context(remove.context);
  }
  by_key_[record->key].push_back(record.get());
  writes_.push_back(std::move(record));
  return writes_.size();
}

std::optional<std::string> Records::learn(WriteRecord& record, model::Dot dot) {
  if (!record.dot.has_value()) record.dot = dot;
  const auto [known, added] =
      by_dot_.try_emplace({partitioning_.of(record.key), dot}, record.number);
  if (added || known->second == record.number) return std::nullopt;
  return fmt::format("dot {} names two writes: {} and {}", name_of(dot), known->second,
                     record.number);
}

std::optional<std::string> Records::end_write(WriteNumber number,
                                              const absl::StatusOr<Written>& result,
                                              bool tried_again, Instant now,
                                              const SessionCall* session) {
  WriteRecord& record = *writes_[number - 1];
  record.tried_again = tried_again;
  record.ended = now;
  if (!result.ok()) {
    record.refused = !absl::IsUnknown(result.status());
    return std::nullopt;
  }
  record.acknowledged = true;
  // The owner that took it alone may be the one that went back, its answer still on the way.
  record.may_be_lost = record.begun <= last_back_ && required(record.consistency) == 1;
  ++acknowledged_;
  auto covers = model::decode_context(record.key, result->context);
  if (!covers.ok()) return fmt::format("write {} got a context that cannot be read", number);
  record.covers = *std::move(covers);
  record.dot = dot_of(result->dot);
  if (session != nullptr) {
    // The answer to an attempt after the first tells less.
    if (session->record->exact_ && !record.context.has_value() && !tried_again) {
      for (const auto& [dot, its_number] : session->before.live) {
        if (record.covers.covers(dot)) continue;
        return fmt::format(
            "{} of key '{}' left write {} standing, which its session had written or "
            "found there",
            name_of(record), record.key, its_number);
      }
    }
    SessionRecord::Live live;
    if (!record.removes) live.emplace(*record.dot, number);
    session->record->note(record.key, live, record.covers);
  }
  return learn(record, *record.dot);
}

bool Records::could_supersede(const WriteRecord& by, const WriteRecord& lost) const {
  if (&by == &lost || by.refused) return false;
  if (by.tried_again && !by.context.has_value() && lost.ended < by.begun + attempt_time_)
    return true;
  if (by.acknowledged) return by.covers.covers(*lost.dot);
  return !by.context.has_value() || by.context->covers(*lost.dot);
}

std::optional<std::string> Records::check_missing(const WriteRecord& lost, const std::string& who,
                                                  Instant until) const {
  if (lost.removes || lost.expires || lost.may_be_lost || lost.superseded) return std::nullopt;
  // Most likely one of the next: those are tried first.
  const std::vector<WriteRecord*>& writes = by_key_.at(lost.key);
  const auto before = [](const WriteRecord* a, WriteNumber number) { return a->number < number; };
  const auto place = static_cast<std::size_t>(
      std::lower_bound(writes.begin(), writes.end(), lost.number, before) - writes.begin());
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const WriteRecord* const by = writes[(place + i) % writes.size()];
    if (by->begun > until || !could_supersede(*by, lost)) continue;
    lost.superseded = by->acknowledged && by->covers.covers(*lost.dot);
    return std::nullopt;
  }
  return fmt::format(
      "{} of key '{}' is lost: {} covers it, has no value of it, and no write superseded it",
      name_of(lost), lost.key, who);
}

std::optional<std::string> Records::end_read(const std::string& key, Consistency consistency,
                                             Instant begun, const Found& found,
                                             const SessionCall* session) {
  ++reads_;
  siblings_seen_ += found.siblings.size() > 1 ? 1U : 0U;
  model::VersionVector context;
  if (!found.context.empty()) {
    auto decoded = model::decode_context(key, found.context);
    if (!decoded.ok()) return fmt::format("a read of '{}' got an unreadable context", key);
    context = *std::move(decoded);
  }
  std::vector<const WriteRecord*> present;
  for (const Sibling& sibling : found.siblings) {
    const auto number = number_of(sibling.value);
    if (!number || *number == 0 || *number > writes_.size() || writes_[*number - 1]->key != key) {
      return fmt::format("a read of '{}' got a value that nobody wrote there", key);
    }
    WriteRecord& record = *writes_[*number - 1];
    if (record.refused) {
      return fmt::format("a read of '{}' got the value of {}, which was said not to be written",
                         key, name_of(record));
    }
    if (std::find(present.begin(), present.end(), &record) != present.end()) {
      return fmt::format("a read of '{}' got {} twice", key, name_of(record));
    }
    if (sibling.expires_unix_ms != 0 && !may_be_alive(sibling.expires_unix_ms, begun)) {
      return fmt::format("a read of '{}' got {}, which had expired before it began", key,
                         name_of(record));
    }
    if (auto broken = learn(record, dot_of(sibling.dot))) return broken;
    present.push_back(&record);
  }
  if (session != nullptr) {
    SessionRecord::Live live;
    SessionRecord::Live lasting;
    for (std::size_t i = 0; i < present.size(); ++i) {
      const model::Dot dot = dot_of(found.siblings[i].dot);
      live.emplace(dot, present[i]->number);
      if (!present[i]->expires) lasting.emplace(dot, present[i]->number);
    }
    if (auto broken = check_session(key, session->before, live, lasting, context)) return broken;
    session->record->note(key, live, context);
  }
  const bool back = back_since_.has_value() || begun < caught_up_at_;
  for (const WriteRecord* record : by_key_[key]) {
    if (!record->acknowledged || record->ended > begun || record->may_be_lost) continue;
    const bool must_know = !back && required(consistency) + required(record->consistency) > owners_;
    if (!context.covers(*record->dot)) {
      if (!must_know) continue;
      return fmt::format("a read of '{}' does not know of {}, acknowledged before it began", key,
                         name_of(*record));
    }
    const bool is_present = std::find(present.begin(), present.end(), record) != present.end();
    if (!is_present) {
      if (auto lost = check_missing(*record, "a read", Instant{Duration::max()})) return lost;
    }
    if (!must_know) continue;
    for (std::size_t i = 0; i < present.size(); ++i) {
      if (present[i] == record || !record->covers.covers(dot_of(found.siblings[i].dot))) continue;
      return fmt::format("a read of '{}' got {}, which {} had superseded before it began", key,
                         name_of(*present[i]), name_of(*record));
    }
  }
  return std::nullopt;
}

// By the clock that is furthest behind.
bool Records::may_be_alive(std::int64_t expires_unix_ms, Instant now) const {
  const auto since_start =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.since_start - clock_error_);
  return World::kStartUnixMs + since_start.count() < expires_unix_ms;
}

void Records::caught_up(Instant now) {
  if (!back_since_.has_value()) return;
  back_since_.reset();
  caught_up_at_ = now;
}

std::optional<std::string> Records::check_end(const std::string& key, const Held& held,
                                              Instant now) {
  std::vector<const WriteRecord*> present;
  for (const auto& [dot, value] : held.versions) {
    const auto number = number_of(value);
    if (!number || *number == 0 || *number > writes_.size() || writes_[*number - 1]->key != key) {
      return fmt::format("key '{}' holds a value that nobody wrote there", key);
    }
    WriteRecord& record = *writes_[*number - 1];
    if (record.refused) {
      return fmt::format("key '{}' holds {}, which was said not to be written", key,
                         name_of(record));
    }
    present.push_back(&record);
  }
  for (const WriteRecord* record : by_key_[key]) {
    if (!record->acknowledged || record->may_be_lost) continue;
    if (!held.vector.covers(*record->dot)) {
      return fmt::format("{} of key '{}' was acknowledged, and in the end nobody knows of it",
                         name_of(*record), key);
    }
    if (std::find(present.begin(), present.end(), record) != present.end()) continue;
    if (auto lost = check_missing(*record, "the end", now)) return lost;
  }
  return std::nullopt;
}

}  // namespace grapevine::simulation
