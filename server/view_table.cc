#include "server/view_table.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "gossip/responder.h"
#include "rpc/errors.h"
#include "server/off_loop.h"
#include "storage/base/limits.h"
#include "storage/model/entries_codec.h"

namespace grapevine::server {

// One view as its holder calls it. It goes when the holder lets go of it.
class ViewTable::Service final : public wire::ReplicaView::Server {
 public:
  Service(ViewTable& table, std::uint64_t id) : table_(table), alive_(table.alive_), id_(id) {}
  // Cap'n Proto destroys it in an event of its own, which may come when the node has gone.
  ~Service() noexcept(false) {
    if (*alive_) table_.views_.erase(id_);
  }

  kj::Promise<void> split(SplitContext context) override {
    gossip::SplitRequest request;
    for (const auto range : context.getParams().getRanges()) request.ranges.push_back(read(range));
    const auto reply = gossip::answer(*view(), request, table_.limits_);
    rpc::throw_if_error(reply.status());
    auto parts = context.getResults().initParts(static_cast<unsigned>(reply->parts.size()));
    for (unsigned i = 0; i < parts.size(); ++i) {
      auto out = parts.init(i, static_cast<unsigned>(reply->parts[i].size()));
      for (unsigned j = 0; j < out.size(); ++j) write(reply->parts[i][j], out[j]);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> pull(PullContext context) override {
    const auto params = context.getParams();
    gossip::PullRequest request;
    request.range = read(params.getRange());
    auto items = model::decode_hashes(server::view(params.getItems()));
    rpc::throw_if_error(items.status());
    request.items = *std::move(items);
    if (params.getResumes()) request.after_key = std::string(server::view(params.getAfterKey()));
    return off_loop(table_.executor_,
                    [view = view(), limits = table_.limits_, request = std::move(request)] {
                      return gossip::answer(*view, request, limits);
                    })
        .then([context](absl::StatusOr<gossip::PullReply> reply) mutable {
          rpc::throw_if_error(reply.status());
          auto results = context.getResults();
          results.setEntries(bytes_of(model::encode_entries(reply->entries)));
          auto absent = results.initAbsent(static_cast<unsigned>(reply->absent.size()));
          for (unsigned i = 0; i < absent.size(); ++i) absent.set(i, reply->absent[i]);
          results.setMore(reply->resume_after.has_value());
          if (reply->resume_after.has_value()) {
            results.setResumeAfter(bytes_of(*reply->resume_after));
          }
        });
  }

  kj::Promise<void> fetch(FetchContext context) override {
    const auto params = context.getParams();
    gossip::FetchRequest request;
    for (const auto key : params.getKeys()) request.keys.emplace_back(server::view(key));
    return off_loop(table_.executor_,
                    [view = view(), limits = table_.limits_, request = std::move(request)] {
                      return gossip::answer(*view, request, limits);
                    })
        .then([context](absl::StatusOr<gossip::FetchReply> reply) mutable {
          rpc::throw_if_error(reply.status());
          if (context.getParams().getHeadsOnly()) {
            for (model::KeyedEntry& keyed : reply->entries) {
              for (model::Version& version : keyed.entry.versions) model::drop_value(version);
            }
          }
          auto results = context.getResults();
          write(reply->entries, [&](unsigned count) { return results.initEntries(count); });
        });
  }

  kj::Promise<void> items(ItemsContext context) override {
    const auto params = context.getParams();
    const std::size_t limit = std::clamp<std::size_t>(params.getLimit(), 1, kScanKeysMax);
    const model::TokenRange range = read(params.getRange());
    const model::TokenRange& whole = view()->range();
    if (range.last < range.first || !whole.contains(range.first) || !whole.contains(range.last)) {
      rpc::throw_if_error(
          absl::InvalidArgumentError(fmt::format("view: range {:x} to {:x} is not of its partition",
                                                 range.first.value, range.last.value)));
    }
    std::optional<std::string> after;
    if (params.getResumes()) after = std::string(server::view(params.getAfterKey()));
    return off_loop(table_.executor_,
                    [view = view(), range, limit, after = std::move(after)] {
                      return view->items(range, limit, after);
                    })
        .then([context, limit](absl::StatusOr<std::vector<model::Item>> found) mutable {
          rpc::throw_if_error(found.status());
          auto results = context.getResults();
          auto out = results.initItems(static_cast<unsigned>(found->size()));
          for (unsigned i = 0; i < out.size(); ++i) write((*found)[i], out[i]);
          results.setMore(found->size() == limit);
        });
  }

 private:
  std::shared_ptr<const gossip::PartitionView> view() {
    const auto held = table_.views_.find(id_);
    if (held == table_.views_.end()) {
      rpc::throw_if_error(absl::FailedPreconditionError(
          "view: closed, nobody had used it for a while or the node stops; open a new one"));
    }
    held->second.used = table_.loop_.now();
    return held->second.view;
  }

  ViewTable& table_;
  const std::shared_ptr<bool> alive_;
  const std::uint64_t id_;
};

absl::StatusOr<ViewTable::Opened> ViewTable::open(PartitionId partition) {
  if (views_.size() >= kViewsMax) {
    return absl::ResourceExhaustedError(fmt::format(
        "overloaded: {} views of partitions are open; try again in a moment", views_.size()));
  }
  const std::uint64_t id = ++last_id_;
  Held& held = views_[id];
  held.view = replica_.freeze(partition);
  held.used = loop_.now();
  return Opened{kj::heap<Service>(*this, id), held.view.get()};
}

void ViewTable::close_idle() {
  const Instant now = loop_.now();
  std::erase_if(views_, [&](const auto& view) { return now - view.second.used > idle_time_; });
}

}  // namespace grapevine::server
