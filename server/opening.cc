#include "server/opening.h"

#include <utility>

#include <fmt/format.h>

namespace grapevine::server {

Opening::Opening(storage::StoreOptions options, storage::Executor& executor, const TimeSource& time,
                 std::uint64_t seed, std::function<void(absl::Status)> on_fatal, Done done) {
  options.on_opening = [shared = shared_](double fraction) {
    shared->fraction = fraction;
    return !shared->given_up;
  };
  executor.run(
      [shared = shared_, options = std::move(options), &executor, &time, seed,
       on_fatal = std::move(on_fatal)] {
        Random random(seed);
        shared->store = storage::Store::open(options, executor, time, random, on_fatal);
      },
      [shared = shared_, done = std::move(done)] { done(std::move(shared->store)); });
}

Opening::~Opening() {
  shared_->store = absl::CancelledError("gone");
}

std::string Opening::progress() const {
  return fmt::format("opening the data directory: {:.0f} % of the keys read",
                     100 * shared_->fraction.load());
}

}  // namespace grapevine::server
