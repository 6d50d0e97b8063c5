// Reading ahead on the executor what a read with Reach::kMemory did not find.
#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "storage/engine_rocksdb.h"
#include "storage/store.h"

namespace grapevine::storage {
namespace {

// So many keys are read in one work: works may be done beside each other.
constexpr std::size_t kKeysPerWork = 16;

struct Warming {
  std::size_t works_left = 0;
  std::vector<std::vector<std::unique_ptr<Engine::Held>>> held;  // one list a work
  std::function<void()> done;
};

}  // namespace

void Store::warm(std::vector<std::string> keys, std::function<void()> done, std::size_t bytes_max) {
  if (keys.empty()) return done();
  keys_warmed_ += keys.size();
  // Works share nothing; so what is bounded as a whole is one work.
  const bool bounded = bytes_max != ~std::size_t{0};
  const std::size_t keys_per_work = bounded ? keys.size() : kKeysPerWork;
  const auto warming = std::make_shared<Warming>();
  warming->works_left = (keys.size() + keys_per_work - 1) / keys_per_work;
  warming->held.resize(warming->works_left);
  warming->done = std::move(done);
  const auto actors = std::make_shared<const model::ActorTable>(engine_->actors());
  auto from = std::make_move_iterator(keys.begin());
  for (auto& held : warming->held) {
    const auto left = std::make_move_iterator(keys.end()) - from;
    const auto to = from + std::min(left, static_cast<std::ptrdiff_t>(keys_per_work));
    std::vector<std::string> some(from, to);
    from = to;
    executor_.run_read(
        [this, warming, actors, &held, bytes_max, some = std::move(some)] {
          std::size_t bytes = 0;
          for (const std::string& key : some) {
            if (bytes >= bytes_max) return;
            held.push_back(engine_->hold(key, *actors));
            bytes += held.back()->bytes();
          }
        },
        [warming] {
          if (--warming->works_left == 0) warming->done();
        });
  }
}

void Store::warm(std::vector<model::TokenRange> ranges, std::optional<std::string> after_key,
                 std::size_t keys_max, std::function<void()> done) {
  ++ranges_warmed_;
  executor_.run_read(
      [this, ranges = std::move(ranges), after_key = std::move(after_key), keys_max] {
        std::size_t left = keys_max + 1;
        for (const model::TokenRange& range : ranges) {
          left -= engine_->warm(range, after_key, left);
          if (left == 0) return;
        }
      },
      std::move(done));
}

}  // namespace grapevine::storage
