#include "rpc/wire_status.h"

#include <string>

namespace grapevine::rpc {
namespace {

struct CodePair {
  absl::StatusCode ours;
  wire::Code wire;
};
constexpr CodePair kCodes[] = {
    {absl::StatusCode::kOk, wire::Code::OK},
    {absl::StatusCode::kInvalidArgument, wire::Code::INVALID_ARGUMENT},
    {absl::StatusCode::kUnavailable, wire::Code::UNAVAILABLE},
    {absl::StatusCode::kUnknown, wire::Code::OUTCOME_UNKNOWN},
    {absl::StatusCode::kResourceExhausted, wire::Code::OVERLOADED},
    {absl::StatusCode::kFailedPrecondition, wire::Code::REFUSED},
    {absl::StatusCode::kDataLoss, wire::Code::DATA_LOSS},
    {absl::StatusCode::kNotFound, wire::Code::NOT_FOUND},
    {absl::StatusCode::kCancelled, wire::Code::CANCELLED},
    {absl::StatusCode::kInternal, wire::Code::INTERNAL},
};

}  // namespace

void write_status(const absl::Status& status, wire::Status::Builder out) {
  out.setCode(wire::Code::INTERNAL);
  for (const CodePair& pair : kCodes) {
    if (pair.ours == status.code()) out.setCode(pair.wire);
  }
  if (!status.ok()) out.setText(std::string(text_of(status)));
}

absl::Status read_status(wire::Status::Reader in) {
  const capnp::Text::Reader text = in.getText();
  const std::string copied(text.begin(), text.size());
  for (const CodePair& pair : kCodes) {
    if (pair.wire == in.getCode()) return {pair.ours, copied};
  }
  return absl::InternalError(copied);
}

}  // namespace grapevine::rpc
