// A generator of member records: few nodes, few incarnations, so that records of one node meet.
#pragma once

#include <string>
#include <vector>

#include <fmt/format.h>
#include <rapidcheck.h>

#include "tests/gossip/member_records.h"

namespace grapevine::gossip {

// Its content is a function of id, epoch, incarnation and state, as it is where nodes make their own
// records.
inline rc::Gen<MemberRecord> any_record() {
  return rc::gen::map(
      rc::gen::tuple(rc::gen::inRange<std::uint64_t>(1, 6), rc::gen::inRange<std::uint64_t>(0, 5),
                     rc::gen::element(MemberState::kUp, MemberState::kLeft, MemberState::kRemoved),
                     rc::gen::inRange<std::uint64_t>(1, 3)),
      [](const auto& drawn) {
        MemberRecord record = member(std::get<0>(drawn), std::get<1>(drawn), std::get<2>(drawn));
        record.epoch = std::get<3>(drawn);
        record.zone = fmt::format("zone {}", record.incarnation);
        return record;
      });
}

inline rc::Gen<std::vector<MemberRecord>> any_records() {
  return rc::gen::container<std::vector<MemberRecord>>(any_record());
}

inline void showValue(const MemberRecord& record, std::ostream& out) {
  out << record.name << " epoch " << record.epoch << " incarnation " << record.incarnation << ' '
      << to_string(record.state) << " weight " << record.weight << " zone '" << record.zone << "'";
}

}  // namespace grapevine::gossip
