#include "client/wire.h"

#include <fmt/format.h>

#include "client/pending.h"
#include "client/session_port.h"
#include "rpc/wire_status.h"

namespace grapevine::client {
namespace {

WriteName to_name(rpc::wire::Dot::Reader dot) {
  return {.actor = dot.getActor(), .counter = dot.getCounter()};
}

std::vector<Sibling> to_siblings(capnp::List<wire::Sibling>::Reader list) {
  std::vector<Sibling> siblings;
  siblings.reserve(list.size());
  for (const auto sibling : list) {
    siblings.push_back({.value = to_string(sibling.getValue()),
                        .dot = to_name(sibling.getDot()),
                        .written_unix_ms = sibling.getWrittenUnixMs(),
                        .expires_unix_ms = sibling.getExpiresUnixMs()});
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
  return rpc::read_status(status);
}

void to_wire(const absl::Status& status, wire::Status::Builder out) {
  rpc::write_status(status, out);
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
  if (const auto& session = session_of(operation); session != nullptr) {
    out.getSession().setSeen(to_data(SessionPort::seen_of(*session, key_of(operation))));
  }
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
          // What is no time to live at all is refused by the node, with the limits.
          if (one.ttl.has_value()) {
            put.setTtlMs(one.ttl->count() > 0 ? static_cast<std::uint64_t>(one.ttl->count())
                                              : ~std::uint64_t{0});
          }
          write_to_wire(one.context, write_id, put);
        } else {
          write_to_wire(one.context, write_id, out.initRemove());
        }
      },
      operation);
}

OperationResult to_result(wire::Result::Reader result, const Operation& asked) {
  const bool write = is_write(asked);
  const auto& session = session_of(asked);
  if (session != nullptr && result.which() != wire::Result::ERROR) {
    const absl::Status noted =
        SessionPort::note(*session, key_of(asked), view(result.getSession()));
    if (!noted.ok()) return absl::InternalError(std::string(text_of(noted)));
  }
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
