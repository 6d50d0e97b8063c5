#include "client/include/grapevine/session.h"

#include <mutex>
#include <utility>

#include "client/session_port.h"
#include "storage/model/session.h"

namespace grapevine {

struct Session::State {
  explicit State(model::Session from) : known(std::move(from)) {}

  mutable std::mutex mutex;
  model::Session known;  // guarded by mutex
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;

std::shared_ptr<Session> Session::begin(std::size_t keys_max) {
  return std::shared_ptr<Session>(new Session(std::make_unique<State>(model::Session(keys_max))));
}

absl::StatusOr<std::shared_ptr<Session>> Session::resume(std::string_view token,
                                                         std::size_t keys_max) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto known, model::Session::decode(token, keys_max));
  return std::shared_ptr<Session>(new Session(std::make_unique<State>(std::move(known))));
}

std::string Session::token() const {
  const std::lock_guard lock(state_->mutex);
  return state_->known.encode();
}

absl::Status Session::join(std::string_view token) {
  GRAPEVINE_ASSIGN_OR_RETURN(const auto other, model::Session::decode(token));
  const std::lock_guard lock(state_->mutex);
  return state_->known.join(other);
}

namespace client {

std::string SessionPort::seen_of(const Session& session, std::string_view key) {
  const std::lock_guard lock(session.state_->mutex);
  return session.state_->known.part_of(key).encode();
}

absl::Status SessionPort::note(Session& session, std::string_view key, std::string_view said) {
  if (said.empty()) {
    return absl::InvalidArgumentError(
        "the node knows no sessions: bring it to this client's version, or use none");
  }
  GRAPEVINE_ASSIGN_OR_RETURN(const auto told, model::Session::decode(said));
  const std::lock_guard lock(session.state_->mutex);
  GRAPEVINE_RETURN_IF_ERROR(session.state_->known.bind(told.scope()));
  session.state_->known.note(key, told.of(key));
  return absl::OkStatus();
}

}  // namespace client
}  // namespace grapevine
