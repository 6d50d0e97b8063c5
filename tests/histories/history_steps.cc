// What nodes and their users do.
#include <algorithm>

#include <fmt/format.h>

#include "tests/histories/history.h"

namespace grapevine::histories {
namespace {

constexpr std::size_t kRecent = 12;  // reads and attempts that are taken up again

}  // namespace

// ---- users ----

History::Read History::read_at(std::size_t at, const std::string& key) {
  const auto entry = replicas_[at]->store().load(key, model::Values::kWithout);
  if (!went_well(entry.status(), "reading")) return {key, {}, {}};
  return {key, entry->vector, replicas_[at]->reached(key)};
}

void History::read(Random& random) {
  const std::size_t at = any_replica(random);
  const std::string& key = any_key(random);
  if (is_suspect(at, key)) {
    ++counts_.refused_as_suspect;
    return note(fmt::format("{} does not answer for {}", at, key));
  }
  reads_.push_back(read_at(at, key));
  note(fmt::format("{} reads {}", at, key));
}

History::Attempt History::draw_attempt(std::size_t at, Random& random) {
  if (!attempts_.empty() && random.chance(0.1)) {
    const std::size_t recent = std::min(attempts_.size(), kRecent);
    return attempts_[attempts_.size() - 1 - random.below(recent)];
  }
  Attempt attempt;
  attempt.key = any_key(random);
  attempt.write_id = ++last_write_id_;
  if (random.chance(0.7)) attempt.value = fmt::format("value {}", attempt.write_id);
  const double how = random.unit();
  if (how < 0.6 && !reads_.empty()) {
    const std::size_t recent = std::min(reads_.size(), kRecent);
    const Read& seen = reads_[reads_.size() - 1 - random.below(recent)];
    attempt.key = seen.key;
    attempt.context = seen.context;
    attempt.seen = seen.seen;
  } else if (how < 0.7) {
    const Read seen = read_at(at, attempt.key);
    attempt.context = seen.context;
    attempt.seen = seen.seen;
  } else if (how < 0.85) {
    attempt.context.emplace();  // it has seen nothing
  }
  return attempt;
}

void History::write(Random& random) {
  write_at(any_replica(random), random);
}

void History::write_at(std::size_t at, Random& random) {
  const std::uint64_t operations = 1 + (random.chance(0.2) ? random.below(3) : 0);
  if (events_.size() + operations > gossip::kEventsMax) return;
  StoredReplica& replica = *replicas_[at];
  touched_.insert(at);
  std::vector<Attempt> asked;
  for (std::uint64_t i = 0; i < operations; ++i) asked.push_back(draw_attempt(at, random));
  for (const Attempt& attempt : asked) {
    if (!is_suspect(at, attempt.key)) continue;
    ++counts_.refused_as_suspect;
    return note(fmt::format("{} does not write {}", at, attempt.key));
  }
  auto batch = replica.store().begin();
  if (!went_well(batch.status(), "beginning a batch")) return;
  std::vector<Event> fresh;
  std::vector<Read> next_reads;
  ReachedByKey reached;
  for (const Attempt& attempt : asked) {
    Reached& known = reached.try_emplace(attempt.key, replica.reached(attempt.key)).first->second;
    const auto outcome =
        (*batch)->write({attempt.key, attempt.value, attempt.context,
                         WallTime{static_cast<std::int64_t>(attempt.write_id)}, attempt.write_id});
    if (!outcome.ok()) {
      went_well(outcome.status(), "writing");
      note(fmt::format("{} fails to write {}", at, attempt.key));
      return;
    }
    const PartitionId partition = replica.store().partitioning().of(attempt.key);
    const bool reissued = issued_.contains({partition, outcome->dot});
    Reached before = attempt.context.has_value() ? attempt.seen : known;
    std::size_t number = events_.size() + fresh.size();
    const auto of_attempt = [&](const Event& event) {
      return event.partition == partition && event.dot == outcome->dot;
    };
    const auto old = std::find_if(events_.begin(), events_.end(), of_attempt);
    const auto same_batch = std::find_if(fresh.begin(), fresh.end(), of_attempt);
    const Event* const earlier = old != events_.end()        ? &*old
                                 : same_batch != fresh.end() ? &*same_batch
                                                             : nullptr;
    if (earlier != nullptr) {
      const bool recognised = earlier->key == attempt.key && earlier->write_id == attempt.write_id;
      if (!recognised) {
        broken(fmt::format("replica {} issued dot {} twice", at, name_of(outcome->dot)));
        return;
      }
      number = old != events_.end()
                   ? static_cast<std::size_t>(old - events_.begin())
                   : events_.size() + static_cast<std::size_t>(same_batch - fresh.begin());
      ++counts_.retries_recognised;
    } else if (reissued) {
      broken(fmt::format("replica {} issued dot {} twice", at, name_of(outcome->dot)));
      return;
    } else {
      fresh.push_back({partition, outcome->dot, attempt.key, attempt.value, attempt.write_id});
      known |= all_superseded(before);
      known.set(number);
    }
    note(fmt::format("{} {} {} as {}{}", at, attempt.value.has_value() ? "writes" : "deletes",
                     attempt.key, name_of(outcome->dot),
                     !attempt.context.has_value()       ? ""
                     : attempt.context->items().empty() ? ", blind"
                                                        : ", with a context"));
    // The writer's next context. It may also cover writes that it has not seen and that are
    // superseded here already: what such a context knows no set of events says.
    Reached covered;
    const auto cover = [&](std::size_t e, const Event& event) {
      covered[e] = event.key == attempt.key && known[e] && outcome->seen.covers(event.dot);
    };
    for (std::size_t e = 0; e < events_.size(); ++e) cover(e, events_[e]);
    for (std::size_t e = 0; e < fresh.size(); ++e) cover(events_.size() + e, fresh[e]);
    Reached seen = all_superseded(before);
    if (outcome->seen.covers(outcome->dot)) seen.set(number);
    if ((covered & ~seen).none() && (earlier == nullptr || attempt.context.has_value())) {
      next_reads.push_back({attempt.key, outcome->seen, seen});
    }
  }
  auto committed = replica.store().commit(*std::move(batch));
  if (!went_well(committed.status(), "committing")) return;
  for (Event& event : fresh) {
    issued_.insert({event.partition, event.dot});
    events_.push_back(std::move(event));
  }
  replica.committed(committed->number, reached);
  for (Read& read : next_reads) reads_.push_back(std::move(read));
  for (Attempt& attempt : asked) attempts_.push_back(std::move(attempt));
  for (std::size_t to = 0; to < replicas_.size(); ++to) {
    if (to == at || random.chance(loss_)) continue;
    mail_.push_back({to, replica.store().actor(), committed->to_replicate, reached});
  }
}

void History::deliver(Random& random) {
  if (!mail_.empty()) deliver_mail(random.below(mail_.size()), random);
}

void History::deliver_mail(std::size_t which, Random& random) {
  const bool again = random.chance(0.1);  // it will come once more
  Mail mail = mail_[which];
  if (!again) mail_.erase(mail_.begin() + static_cast<std::ptrdiff_t>(which));
  touched_.insert(mail.to);
  if (is_refused(mail)) {
    ++counts_.refused_late;
    return note(fmt::format("{} refuses {} entries, {} first", mail.to, mail.entries.size(),
                            mail.entries.front().key));
  }
  ++counts_.messages;
  note(fmt::format("{} receives {} entries, {} first", mail.to, mail.entries.size(),
                   mail.entries.front().key));
  went_well(replicas_[mail.to]->receive(mail.entries, mail.reached), "receiving");
}

// ---- exchanges ----

void History::begin_exchange(Random& random) {
  const std::size_t at = any_replica(random);
  const std::size_t other = other_than(at, random);
  note(fmt::format("{} begins an exchange with {}", at, other));
  begin_talk(at, other);
}

void History::begin_talk(std::size_t at, std::size_t other,
                         std::optional<gossip::Conversation::SentStates> theirs,
                         std::optional<gossip::Hint> hint) {
  StoredReplica& replica = *replicas_[at];
  StoredReplica& peer = *replicas_[other];
  Talk talk;
  talk.peer_knew = peer.reached();
  talk.in_turn = theirs.has_value() || hint.has_value();
  if (theirs.has_value()) {
    talk.conversation =
        std::make_unique<gossip::Conversation>(replica, peer, *std::move(theirs), options_);
  } else {
    gossip::ConversationOptions options = options_;
    options.exchange.hear_all = [this, &replica, at, other](PartitionId partition) {
      if (replica.store().suspect(partition)) return true;
      return memories_[at]->closing.must_hear(nodes_[other], partition, owners(partition),
                                              replica.store().live(partition).clock(),
                                              is_unquiet(at, partition));
    };
    talk.mark = memories_[at]->closing.mark(nodes_[other]);
    talk.conversation = std::make_unique<gossip::Conversation>(
        replica, peer, hint.value_or(gossip::Hint{}), options);
  }
  talks_.push_back(std::move(talk));
}

// A few messages, whichever they are; now and then one is lost.
void History::move_exchanges(Random& random) {
  for (std::uint64_t moves = 1 + random.below(4); moves > 0 && !talks_.empty(); --moves) {
    const std::size_t which = random.below(talks_.size());
    const std::size_t under_way = talks_[which].conversation->under_way();
    if (under_way > 0) {
      const std::size_t message = random.below(under_way);
      const bool lost = random.chance(0.02);
      const gossip::Conversation& conversation = *talks_[which].conversation;
      note(fmt::format("{} message {} of the exchange of {} with {}",
                       lost ? "lost:" : "moves:", message, index_of(conversation.initiator()),
                       index_of(conversation.responder())));
      move_talk(which, message, lost);
    } else {
      finish(which);
    }
  }
}

// Ends it when that was the last message.
void History::move_talk(std::size_t which, std::size_t message, bool lost) {
  gossip::Conversation& conversation = *talks_[which].conversation;
  const std::size_t at = index_of(conversation.initiator());
  const std::size_t other = index_of(conversation.responder());
  touched_.insert(at);
  if (lost) {
    conversation.lose(message);
  } else {
    conversation.move(message);
  }
  if (auto states = conversation.take_states()) begin_talk(other, at, *std::move(states));
  if (auto hint = conversation.take_hint()) begin_talk(other, at, std::nullopt, *std::move(hint));
  if (talks_[which].conversation->under_way() == 0) finish(which);
}

void History::finish(std::size_t which) {
  const Talk talk = std::move(talks_[which]);
  talks_.erase(talks_.begin() + static_cast<std::ptrdiff_t>(which));
  const gossip::Conversation& over = *talk.conversation;
  if (!over.done()) broken("an exchange waits for nothing and is not done");
  const gossip::ExchangeReport& report = over.report();
  if (!talk.in_turn) last_report_ = report;
  counts_.delta_pulls += report.delta_pulls;
  counts_.digest_pulls += report.digest_pulls;
  counts_.equal_roots += report.equal_roots;
  counts_.clocks_adopted += report.clocks_adopted;
  counts_.in_flight += report.in_flight;
  counts_.settled += report.settled;
  counts_.regained += over.asked<gossip::FetchRequest>();
  counts_.splits += over.asked<gossip::SplitRequest>();
  for (const auto& [partition, sum] : report.differences) {
    differ(partition, "damage suspected where there is none (I3)");
  }
  if (over.views_open() > 0) broken("a view is left open");
  if (talk.mark.has_value()) {
    memories_[index_of(over.initiator())]->closing.heard(nodes_[index_of(over.responder())],
                                                         *talk.mark, report.heard_all);
  }
  for (const PartitionId partition : report.heard_all) {
    heard_all(index_of(over.initiator()), index_of(over.responder()), partition, talk.peer_knew);
  }
}

// All that `from` knew when the exchange began has reached `at`. A suspect partition that has heard
// every other owner so is trusted again (R9), as server/anti_entropy does it.
void History::heard_all(std::size_t at, std::size_t from, PartitionId partition,
                        const ReachedByKey& knew) {
  StoredReplica& replica = *replicas_[at];
  for (const auto& [key, reached] : knew) {
    if (replica.store().partitioning().of(key) != partition) continue;
    // What an entry implies of others whose writes were lost, no message need bring.
    const Reached due = knowledge_lost_.contains(partition) ? live_of(key, reached) : reached;
    if ((due & ~replica.reached(key)).any()) {
      broken(
          fmt::format("replica {} has heard all of {}, and lacks something of {}", at, from, key));
    }
  }
  if (!replica.store().suspect(partition)) return;
  std::set<std::size_t>& heard = memories_[at]->lost_entries_heard[partition];
  heard.insert(from);
  if (heard.size() + 1 < replicas_.size()) return;
  memories_[at]->lost_entries_heard.erase(partition);
  if (!went_well(replica.store().trust_again(partition), "trusting again")) return;
  suspect_[at].erase(partition);
  note(fmt::format("{} trusts its partition {} again", at, partition.value));
  ++counts_.recovered;
}

bool History::is_suspect(std::size_t at, const std::string& key) const {
  const storage::Store& store = replicas_[at]->store();
  return store.suspect(store.partitioning().of(key));
}

// ---- time ----

void History::let_time_pass(Random& random) {
  time_.advance(std::chrono::milliseconds(50 + random.below(300)));
  note("time passes");
}

void History::forget_dots(Random& random) {
  const std::size_t at = any_replica(random);
  replicas_[at]->store().forget_dot_logs();
  note(fmt::format("{} forgets its dot logs", at));
}

void History::upkeep(Random& random) {
  upkeep_at(any_replica(random), random);
}

void History::upkeep_at(std::size_t at, Random& random) {
  touched_.insert(at);
  note(fmt::format("{} does upkeep", at));
  const auto more = replicas_[at]->store().upkeep(1 + random.below(50));
  // What was not in memory is read beside, and used the next time.
  if (went_well(more.status(), "upkeep") && *more && random.chance(0.5)) replicas_[at]->sync();
}

void History::sync(Random& random) {
  const std::size_t at = any_replica(random);
  replicas_[at]->sync();
  note(fmt::format("{} syncs", at));
}
}  // namespace grapevine::histories
