// The planted flaws by name, in programs that are linked with the flawed copy of the sources.
#pragma once

#include <string>
#include <string_view>

#include "storage/base/planted_flaws.h"

namespace grapevine::simulation {

#ifdef GRAPEVINE_PLANTED_FLAWS

inline constexpr std::pair<std::string_view, PlantedFlaw> kFlaws[] = {
    {"adopts_past_the_unquiet", PlantedFlaw::adopts_past_the_unquiet},
    {"makes_no_second_pull", PlantedFlaw::makes_no_second_pull},
    {"keeps_the_actor", PlantedFlaw::keeps_the_actor},
    {"leaves_out_dots_of_deletes", PlantedFlaw::leaves_out_dots_of_deletes},
    {"sends_unfilled", PlantedFlaw::sends_unfilled},
    {"takes_read_errors_for_absence", PlantedFlaw::takes_read_errors_for_absence},
    {"forgets_to_journal", PlantedFlaw::forgets_to_journal},
    {"keeps_the_clock_after_damage", PlantedFlaw::keeps_the_clock_after_damage},
    {"acknowledges_before_sync", PlantedFlaw::acknowledges_before_sync},
    {"counts_failed_owners", PlantedFlaw::counts_failed_owners},
    {"takes_timeouts_for_success", PlantedFlaw::takes_timeouts_for_success},
    {"drops_the_last_of_several", PlantedFlaw::drops_the_last_of_several},
    {"carries_out_late_requests", PlantedFlaw::carries_out_late_requests},
    {"keeps_links_to_nowhere", PlantedFlaw::keeps_links_to_nowhere},
    {"closes_without_hearing", PlantedFlaw::closes_without_hearing},
    {"takes_stale_records", PlantedFlaw::takes_stale_records},
    {"hands_nothing_over", PlantedFlaw::hands_nothing_over},
    {"keeps_what_has_expired", PlantedFlaw::keeps_what_has_expired},
    {"reads_what_lags_behind_a_session", PlantedFlaw::reads_what_lags_behind_a_session},
};

inline bool plant(std::string_view name) {
  for (const auto& [its_name, flaw] : kFlaws) {
    if (its_name != name) continue;
    planted_flaw = flaw;
    return true;
  }
  return false;
}

inline std::string names_of_flaws() {
  std::string names;
  for (const auto& [name, flaw] : kFlaws) {
    names += names.empty() ? "" : ", ";
    names += name;
  }
  return names;
}

#else

inline bool plant(std::string_view) {
  return false;
}
inline std::string names_of_flaws() {
  return "none in this program";
}

#endif

}  // namespace grapevine::simulation
