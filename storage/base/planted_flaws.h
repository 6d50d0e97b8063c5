// Places where a rule may be broken on purpose, to prove that the tests of the rules would notice.
//
// `GRAPEVINE_FLAW(name)` is the constant false, and nothing of it is in the program, unless a source
// is compiled with GRAPEVINE_PLANTED_FLAWS. Only a copy of the sources that is linked into one test
// program is (tests/CMakeLists.txt).
#pragma once

#ifdef GRAPEVINE_PLANTED_FLAWS

namespace grapevine {

enum class PlantedFlaw {
  none,
  adopts_past_the_unquiet,     // R5: what is not quiet over there is not pulled where digests agree
  makes_no_second_pull,        // R5: keys gained during the pull are not pulled once more
  keeps_the_actor,             // R7: whatever befell the directory
  leaves_out_dots_of_deletes,  // R1: a delete's dot is not added to the clock
  sends_unfilled,              // R3: what the clock's bases imply is left out of what a peer pulls
  takes_read_errors_for_absence,     // R9
  forgets_to_journal,                // the clock's record is not written with the batch
  keeps_the_clock_after_damage,      // R9
  acknowledges_before_sync,          // a write counts as durable when it is committed
  counts_failed_owners,              // towards the W of a write
  takes_timeouts_for_success,        // of a write that is under way when its time is over
  drops_the_last_of_several,         // of the entries that a peer replicates in one call
  carries_out_late_requests,         // whatever time they lay somewhere
  keeps_links_to_nowhere,            // probes go on over a link whose other end has vanished
  closes_without_hearing,            // R8: actors that have ended are closed at once
  takes_stale_records,               // of members, whatever newer one is known
  hands_nothing_over,                // who owned a partition once offers it to nobody
  keeps_what_has_expired,            // and gives it to readers
  reads_what_lags_behind_a_session,  // whatever the session has seen
};

// Set by the test before anything runs, single-threaded.
inline PlantedFlaw planted_flaw = PlantedFlaw::none;

}  // namespace grapevine

#define GRAPEVINE_FLAW(name) (::grapevine::planted_flaw == ::grapevine::PlantedFlaw::name)

#else

#define GRAPEVINE_FLAW(name) false

#endif
