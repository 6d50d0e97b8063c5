// One partition of a store, as of now or frozen.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"
#include "storage/model/clock.h"
#include "storage/model/digest.h"
#include "storage/model/digest_tree.h"
#include "storage/model/entry.h"
#include "storage/model/entry_codec.h"
#include "storage/model/sketch.h"
#include "storage/moment.h"
#include "storage/waiting.h"

namespace grapevine::storage {

class Engine;
struct Partition;

// Clock, digests and entries of a partition that fit each other. A live view shows the store's
// state at each call, a frozen one that of the moment when it was made.
//
// Resource. A frozen view costs a database snapshot (which keeps superseded data on disk until it
// goes) and a copy of the clock and of the tree's leaves. No view may outlive its store. Loop
// thread; a frozen view may be read on others.
class View {
 public:
  View(const Engine& engine, const model::Digester& digester, const Partition& live);
  static std::unique_ptr<View> freeze(const View& live);

  const model::Clock& clock() const;
  const model::TokenRange& range() const { return tree().token_range(); }
  const model::DigestTree& tree() const;
  // Of a live view; nullptr of a frozen one.
  const model::Sketch* sketch() const;

  // The filled entry of a key; one without versions when none is stored. DataLoss is never taken
  // for that.
  absl::StatusOr<model::Entry> load(std::string_view key, model::Values values,
                                    Reach reach = Reach::kDisk) const;

  // The filled entries of a range in order, after `after_key`, until `visit` returns false.
  template <typename Visit>
  absl::Status scan(const model::TokenRange& range, const std::optional<std::string>& after_key,
                    model::Values values, Visit visit) const {
    return scan_stored(range, after_key, values, Reach::kDisk,
                       [&](std::string_view key, model::Entry entry) {
                         model::fill(entry, clock());
                         return visit(key, std::move(entry));
                       });
  }
  // The same without filling them: their versions, and what little their vectors say. `at`, if given,
  // stands for what the view shows; then it may be done on any thread.
  using VisitStored = std::function<bool(std::string_view key, model::Entry stored)>;
  absl::Status scan_stored(const model::TokenRange& range,
                           const std::optional<std::string>& after_key, model::Values values,
                           Reach reach, const VisitStored& visit, const Moment* at = nullptr) const;
  Moment moment() const;

  // The stored keys of a range as another replica compares them, at most `limit`.
  absl::StatusOr<std::vector<model::Item>> items(const model::TokenRange& range, std::size_t limit,
                                                 const std::optional<std::string>& after_key) const;

 private:
  struct Frozen {
    Moment moment;
    model::Clock clock;
    model::DigestTree tree;
  };
  const Moment* at() const { return frozen_.has_value() ? &frozen_->moment : nullptr; }

  const Engine& engine_;
  const model::Digester& digester_;
  const Partition& live_;
  std::optional<Frozen> frozen_;
};

}  // namespace grapevine::storage
