#include "storage/dot_log.h"

#include <algorithm>

#include "storage/model/clock.h"

namespace grapevine::storage {

void DotLog::add(model::Dot dot, std::string_view key, Instant now) {
  const auto [place, is_new] = records_.try_emplace(dot, Record{std::string(key), now});
  if (!is_new) return;
  order_.push_back(dot);
  bytes_ += cost(place->second);
  while (bytes_ > bytes_max_ && !order_.empty()) {
    const auto oldest = records_.find(order_.front());
    order_.pop_front();
    bytes_ -= cost(oldest->second);
    records_.erase(oldest);
  }
}

void DotLog::clear() {
  records_.clear();
  order_.clear();
  bytes_ = 0;
}

NamedDots DotLog::name(const std::vector<model::DotRange>& dots, Instant settled_before,
                       std::size_t limit) const {
  NamedDots answer;
  // A marker has no key.
  answer.complete = std::none_of(dots.begin(), dots.end(),
                                 [](const model::DotRange& range) { return range.closes(); });
  if (!answer.complete) return answer;
  for (const model::DotRange& range : dots) {
    auto record = records_.lower_bound(model::Dot{range.actor, range.first});
    for (std::uint64_t counter = range.first; counter <= range.last; ++counter, ++record) {
      if (record == records_.end() || record->first != model::Dot{range.actor, counter}) {
        answer.complete = false;
        return answer;
      }
      if (record->second.at > settled_before) {
        ++answer.in_flight;
      } else if (answer.named.size() < limit) {
        answer.named.push_back({record->first, record->second.key});
      } else {
        return answer;
      }
    }
  }
  return answer;
}

DotLog::Ages DotLog::ages(const std::vector<model::DotRange>& dots, Instant settled_before) const {
  Ages ages;
  std::uint64_t known = 0;
  for (const model::DotRange& range : dots) {
    for (auto record = records_.lower_bound(model::Dot{range.actor, range.first});
         record != records_.end() && record->first <= model::Dot{range.actor, range.last};
         ++record) {
      ++known;
      const Instant at = record->second.at;
      ages.in_flight += at > settled_before ? 1 : 0;
      ages.oldest = std::min(ages.oldest.value_or(at), at);
    }
  }
  ages.complete = known == model::count_dots(dots);
  return ages;
}

bool DotLog::reaches(const std::vector<model::DotRange>& dots) const {
  return std::all_of(dots.begin(), dots.end(), [this](const model::DotRange& range) {
    return records_.contains({range.actor, range.first}) &&
           records_.contains({range.actor, range.last});
  });
}

}  // namespace grapevine::storage
