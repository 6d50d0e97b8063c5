#include "tests/simulation/simulated_client.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace grapevine::simulation {

namespace {

std::string described(const client::Pending& call, const OperationResult& result) {
  std::string text = fmt::format("{} '{}' at {}: ", client::verb_of(call.operation),
                                 client::key_of(call.operation), call.node);
  const auto add_dot = [&](const WriteName& dot) {
    text += fmt::format(" {:x}:{}", dot.actor, dot.counter);
  };
  if (const auto* put = std::get_if<Put>(&call.operation)) {
    text += fmt::format("({}) ", number_of(put->value).value_or(0));
  }
  if (!result.ok()) return text + std::string(text_of(result.status()));
  if (const auto* written = std::get_if<Written>(&*result)) {
    add_dot(written->dot);
  } else {
    for (const Sibling& sibling : std::get<Found>(*result).siblings) {
      add_dot(sibling.dot);
      text += fmt::format("({})", number_of(sibling.value).value_or(0));
    }
  }
  return text;
}

}  // namespace

struct SimulatedClient::Machinery {
  Machinery(rpc::Loop& loop, const std::vector<rpc::Address>& nodes)
      : pool(loop, nodes, {.connect_timeout = std::chrono::seconds(1), .client_name = "simulated"},
             [this] { batcher.pump(); }),
        batcher(loop, pool, {}) {}

  client::Pool pool;
  client::Batcher batcher;
};

SimulatedClient::SimulatedClient(World& world, Network& network, std::size_t index,
                                 const std::vector<rpc::Address>& nodes, const Workload& workload,
                                 Records& records, std::uint64_t seed,
                                 std::function<void(std::string)> on_broken)
    : world_(world),
      records_(records),
      workload_(workload),
      random_(seed),
      sessions_(seed ^ 0x5e55),
      on_broken_(std::move(on_broken)),
      own_key_(fmt::format("own{}", index + 1)),
      time_(world),
      loop_(world, network, time_, fmt::format("10.1.0.{}", index + 1),
            fmt::format("client{}", index + 1)),
      machinery_(std::make_unique<Machinery>(loop_, nodes)) {
  if (workload.in_session == 0) return;
  std::vector<rpc::Address> turned = nodes;
  std::rotate(turned.begin(), turned.begin() + 1, turned.end());
  elsewhere_ = std::make_unique<Machinery>(loop_, turned);
}

SimulatedClient::~SimulatedClient() {
  machinery_->batcher.close();
  if (elsewhere_ != nullptr) elsewhere_->batcher.close();
}

void SimulatedClient::start() {
  loop_.post([this] {
    machinery_->pool.start([](const absl::Status&) {});
    if (elsewhere_ != nullptr) elsewhere_->pool.start([](const absl::Status&) {});
    call_later();
  });
}

void SimulatedClient::call_later() {
  const double pauses = 2 * random_.unit();
  const auto pause =
      static_cast<Duration::rep>(static_cast<double>(workload_.pause.count()) * pauses);
  world_.after(Duration(pause), loop_.process(), [this] {
    if (!calling_) return;
    if (outstanding_ < workload_.outstanding_max) call();
    call_later();
  });
}

void SimulatedClient::broken(std::optional<std::string> what) {
  if (what.has_value()) on_broken_(*std::move(what));
}

Consistency SimulatedClient::draw_consistency() {
  const double drawn = random_.unit();
  if (drawn < workload_.one) return Consistency::kOne;
  return drawn < workload_.one + workload_.all ? Consistency::kAll : Consistency::kQuorum;
}

std::shared_ptr<SimulatedClient::InSession> SimulatedClient::draw_session() {
  if (!sessions_.chance(workload_.in_session)) return nullptr;
  ++calls_in_session_;
  if (session_ == nullptr || sessions_.chance(0.005)) {
    session_ = std::make_shared<InSession>(
        InSession{Session::begin(workload_.session_keys),
                  SessionRecord(workload_.session_keys >= workload_.keys + 2)});
  } else if (sessions_.chance(0.02)) {
    auto resumed = Session::resume(session_->session->token(), workload_.session_keys);
    if (resumed.ok()) {
      session_ = std::make_shared<InSession>(InSession{*resumed, session_->record});
    } else {
      broken(fmt::format("a session's own token is refused: {}", text_of(resumed.status())));
    }
  }
  return session_;
}

std::optional<SessionCall> SimulatedClient::call_in(const std::shared_ptr<InSession>& in,
                                                    const std::string& key) {
  if (in == nullptr) return std::nullopt;
  return SessionCall{&in->record, in->record.of(key)};
}

void SimulatedClient::call() {
  if (random_.chance(0.1)) return call_own_key();
  const std::size_t which = random_.chance(workload_.hot) ? 0 : random_.below(workload_.keys);
  const std::string key =
      which % 3 == 0 ? fmt::format("{{tag}}key{}", which) : fmt::format("key{}", which);
  if (!random_.chance(workload_.writes)) return read(key, false);
  std::optional<std::string> context;
  if (random_.chance(workload_.with_empty_context)) {
    context = "";
  } else if (random_.chance(workload_.with_context)) {
    const auto last = contexts_.find(key);
    if (last != contexts_.end()) context = last->second;
  }
  if (random_.chance(workload_.removes)) {
    write(Remove{key, draw_consistency(), std::move(context)}, false);
  } else {
    std::optional<std::chrono::milliseconds> ttl;
    if (random_.chance(workload_.expiring)) {
      ttl = std::chrono::milliseconds(
          1 + random_.below(static_cast<std::uint64_t>(workload_.ttl_max.count())));
    }
    write(Put{key, {}, draw_consistency(), std::move(context), ttl}, false);
  }
}

void SimulatedClient::crowd(std::size_t puts) {
  loop_.post([this, puts] {
    const std::string key = fmt::format("crowd{}", own_key_);
    for (std::size_t i = 0; i < puts; ++i) {
      write(Put{key, {}, Consistency::kOne, "", std::nullopt}, false);
    }
    world_.after(workload_.timeout, loop_.process(), [this, key] { resolve(key); });
  });
}

void SimulatedClient::resolve(const std::string& key) {
  if (!calling_) return;
  begin(Get{key, Consistency::kQuorum}, 0, false,
        [this, key, begun = world_.now()](OperationResult result) {
          if (!result.ok()) return;
          const Found& found = std::get<Found>(*result);
          siblings_max_ = std::max(siblings_max_, found.siblings.size());
          broken(records_.end_read(key, Consistency::kQuorum, begun, found));
          write(Put{key, {}, Consistency::kQuorum, found.context, std::nullopt}, false);
        });
}

void SimulatedClient::call_own_key() {
  if (own_under_way_) return;
  if (random_.chance(0.5)) return read(own_key_, true);
  own_under_way_ = true;
  write(Put{own_key_, {}, Consistency::kQuorum, own_context_, std::nullopt}, true);
}

void SimulatedClient::read(const std::string& key, bool own) {
  const Consistency consistency = own ? Consistency::kQuorum : draw_consistency();
  if (own) own_under_way_ = true;
  const auto in = draw_session();
  begin(Get{key, consistency, in == nullptr ? nullptr : in->session}, 0, own,
        [this, key, consistency, own, in, call = call_in(in, key),
         begun = world_.now()](OperationResult result) {
          if (own) own_under_way_ = false;
          if (!result.ok()) return;
          const Found& found = std::get<Found>(*result);
          contexts_[key] = found.context;
          broken(records_.end_read(key, consistency, begun, found,
                                   call.has_value() ? &*call : nullptr));
          if (!own) return;
          if (own_certain_ && found.siblings.size() > 1) {
            broken(fmt::format("key '{}' has {} siblings, and its only writer knows no conflict",
                               key, found.siblings.size()));
          }
          if (own_certain_) return;
          own_context_ = found.context;  // whatever happened, it is known now
        });
}

void SimulatedClient::write(Operation operation, bool own) {
  const WriteNumber number = records_.begin_write(operation, world_.now());
  if (auto* put = std::get_if<Put>(&operation)) {
    const bool large = random_.chance(workload_.large) && !put->key.starts_with("crowd");
    put->value = value_of(number, large ? random_.below(workload_.large_bytes) : random_.below(60));
  }
  const auto in = draw_session();
  const std::string key = client::key_of(operation);
  if (in != nullptr) {
    std::visit([&](auto& one) { one.session = in->session; }, operation);
  }
  begin(std::move(operation), random_.next() | 1, own,
        [this, number, own, in, key, call = call_in(in, key)](OperationResult result) {
          absl::StatusOr<Written> written = absl::UnknownError("");
          if (result.ok()) {
            written = std::get<Written>(*result);
          } else {
            written = result.status();
          }
          if (own) {
            own_under_way_ = false;
            if (written.ok()) {
              own_context_ = written->context;
            } else if (absl::IsUnknown(written.status())) {
              own_certain_ = false;
            }
          }
          broken(records_.end_write(number, written, tried_again_, world_.now(),
                                    call.has_value() ? &*call : nullptr));
          // As who loads the page anew that they have just changed.
          const bool goes_on = calling_ && !own && outstanding_ < workload_.outstanding_max;
          if (in != nullptr && in == session_ && written.ok() && goes_on) read(key, false);
        });
}

void SimulatedClient::begin(Operation operation, std::uint64_t write_id, bool own,
                            std::function<void(OperationResult)> done) {
  auto pending = std::make_unique<client::Pending>();
  pending->timeout = workload_.timeout;
  pending->deadline = world_.now() + pending->timeout;
  pending->write_id = write_id;
  pending->operation = std::move(operation);
  ++outstanding_;
  ++calls_;
  pending->done = [this, own, &sent = *pending, done = std::move(done)](OperationResult result) {
    --outstanding_;
    // Tried again, it may stand under two dots, of which its writer's next context knows but one.
    if (own && sent.maybe_written) own_certain_ = false;
    tried_again_ = sent.maybe_written;
    if (world_.traces()) world_.say(described(sent, result));
    if (!result.ok()) ++failures_;
    done(std::move(result));
  };
  const bool elsewhere =
      client::session_of(pending->operation) != nullptr && !own && sessions_.chance(0.5);
  client::Batcher& batcher = (elsewhere ? elsewhere_ : machinery_)->batcher;
  batcher.add(std::move(pending));
  batcher.pump();
}

}  // namespace grapevine::simulation
