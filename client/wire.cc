#include "client/wire.h"

#include <fmt/format.h>

namespace grapevine::client {
namespace {

absl::StatusCode code_of(wire::Code code) {
  switch (code) {
    case wire::Code::OK: return absl::StatusCode::kOk;
    case wire::Code::INVALID_ARGUMENT: return absl::StatusCode::kInvalidArgument;
    case wire::Code::UNAVAILABLE: return absl::StatusCode::kUnavailable;
    case wire::Code::OUTCOME_UNKNOWN: return absl::StatusCode::kUnknown;
    case wire::Code::OVERLOADED: return absl::StatusCode::kResourceExhausted;
    case wire::Code::REFUSED: return absl::StatusCode::kFailedPrecondition;
    case wire::Code::DATA_LOSS: return absl::StatusCode::kDataLoss;
    case wire::Code::NOT_FOUND: return absl::StatusCode::kNotFound;
    case wire::Code::CANCELLED: return absl::StatusCode::kCancelled;
    case wire::Code::INTERNAL: break;
  }
  return absl::StatusCode::kInternal;  // also for codes of later versions
}

wire::Code code_of(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk: return wire::Code::OK;
    case absl::StatusCode::kInvalidArgument: return wire::Code::INVALID_ARGUMENT;
    case absl::StatusCode::kUnavailable: return wire::Code::UNAVAILABLE;
    case absl::StatusCode::kUnknown: return wire::Code::OUTCOME_UNKNOWN;
    case absl::StatusCode::kResourceExhausted: return wire::Code::OVERLOADED;
    case absl::StatusCode::kFailedPrecondition: return wire::Code::REFUSED;
    case absl::StatusCode::kDataLoss: return wire::Code::DATA_LOSS;
    case absl::StatusCode::kNotFound: return wire::Code::NOT_FOUND;
    case absl::StatusCode::kCancelled: return wire::Code::CANCELLED;
    default: return wire::Code::INTERNAL;
  }
}

WriteName to_name(rpc::wire::Dot::Reader dot) {
  return {.actor = dot.getActor(), .counter = dot.getCounter()};
}

std::vector<Sibling> to_siblings(capnp::List<wire::Sibling>::Reader list) {
  std::vector<Sibling> siblings;
  siblings.reserve(list.size());
  for (const auto sibling : list) {
    siblings.push_back({.value = to_string(sibling.getValue()),
                        .dot = to_name(sibling.getDot()),
                        .written_unix_ms = sibling.getWrittenUnixMs()});
  }
  return siblings;
}

void write_to_wire(const std::optional<std::string>& context, std::uint64_t write_id,
                   wire::Operation::Write::Builder out) {
  out.setWriteId(write_id);
  if (context.has_value()) {
    out.getContext().setSeen(to_data(*context));
  } else {
    out.getContext().setCurrent();
  }
}

}  // namespace

absl::Status to_status(wire::Status::Reader status) {
  const absl::StatusCode code = code_of(status.getCode());
  if (code == absl::StatusCode::kOk) return absl::OkStatus();
  return {code, to_string(status.getText())};
}

void to_wire(const absl::Status& status, wire::Status::Builder out) {
  out.setCode(code_of(status.code()));
  const std::string text(text_of(status));
  out.setText({text.c_str(), text.size()});
}

wire::Consistency to_wire(Consistency consistency) {
  switch (consistency) {
    case Consistency::kOne: return wire::Consistency::ONE;
    case Consistency::kAll: return wire::Consistency::ALL;
    case Consistency::kQuorum: break;
  }
  return wire::Consistency::QUORUM;
}

void to_wire(const Operation& operation, std::uint64_t write_id, wire::Operation::Builder out) {
  std::visit(
      [&](const auto& one) {
        out.setKey(to_data(one.key));
        out.setConsistency(to_wire(one.consistency));
        using One = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<One, Get>) {
          out.setGet();
        } else if constexpr (std::is_same_v<One, Put>) {
          auto put = out.initPut();
          put.setValue(to_data(one.value));
          write_to_wire(one.context, write_id, put);
        } else {
          write_to_wire(one.context, write_id, out.initRemove());
        }
      },
      operation);
}

OperationResult to_result(wire::Result::Reader result, const Operation& asked) {
  const bool write = !std::holds_alternative<Get>(asked);
  switch (result.which()) {
    case wire::Result::ERROR: {
      absl::Status status = to_status(result.getError());
      if (!status.ok()) return status;
      break;
    }
    case wire::Result::READ: {
      if (write) break;
      const auto read = result.getRead();
      return std::variant<Found, Written>(Found{.siblings = to_siblings(read.getSiblings()),
                                                .context = to_string(read.getContext())});
    }
    case wire::Result::WRITTEN: {
      if (!write) break;
      const auto written = result.getWritten();
      return std::variant<Found, Written>(
          Written{.dot = to_name(written.getDot()), .context = to_string(written.getContext())});
    }
  }
  return absl::InternalError(
      "the node's answer does not fit the operation: client and node speak different versions");
}

ScanPage to_page(wire::Reader::ScanResults::Reader results) {
  ScanPage page;
  page.keys.reserve(results.getItems().size());
  for (const auto item : results.getItems()) {
    page.keys.push_back(
        {.key = to_string(item.getKey()), .siblings = to_siblings(item.getSiblings())});
  }
  page.cursor = to_string(results.getCursor());
  return page;
}

}  // namespace grapevine::client
