// grapevine event NAME [PAYLOAD|-], and grapevine watch --events
#include <cstdio>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/cluster_members.h"
#include "tools/command.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPayloadBytesMax = 1024;  // gossip::Rumour's
constexpr milliseconds kPollTime{30'000};

absl::StatusOr<std::unique_ptr<AdminNode>> connect_to_one(Admin& admin,
                                                          const CommonOptions& common) {
  absl::Status why = absl::UnavailableError("no endpoint was given");
  for (const std::string& endpoint : endpoints_of(common)) {
    auto connected = std::move(admin.connect({endpoint}).front());
    if (connected.ok()) return connected;
    why = connected.status();
  }
  return why;
}

ExitCode tell(const CommonOptions& common, const std::string& name, const std::string& payload) {
  absl::StatusOr<std::string> bytes = payload;
  if (payload == "-") bytes = read_standard_input(kPayloadBytesMax);
  if (!bytes.ok()) return fail(bytes.status());
  Admin admin(common.timeout);
  auto node = connect_to_one(admin, common);
  if (!node.ok()) return connect_failed(node.status());
  const absl::Status told = (*node)->tell(name, *bytes);
  if (!told.ok()) return fail(told);
  print_out(common.json ? "{\"told\":true}\n" : "OK\n");
  return ExitCode::kDone;
}

void print(const CommonOptions& common, const ClusterEvent& event) {
  if (!common.json) {
    print_out(event.payload.empty() ? event.name + "\n"
                                    : fmt::format("{} {}\n", event.name, event.payload));
  } else {
    Json object{{"event", event.name}};
    if (is_utf8(event.payload)) {
      object["payload"] = event.payload;
    } else {
      object["payload_base64"] = to_base64(event.payload);
    }
    object["node"] = to_string(event.origin);
    object["sequence"] = event.sequence;
    print_out(object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  std::fflush(stdout);
}

ExitCode watch(const CommonOptions& common, bool past, std::size_t count) {
  Admin admin(common.timeout);
  auto node = connect_to_one(admin, common);
  if (!node.ok()) return connect_failed(node.status());
  // What is remembered there, or only where it stands.
  auto batch = (*node)->events(past ? 0 : ~std::uint64_t{0}, milliseconds(0));
  std::size_t printed = 0;
  for (;;) {
    if (!batch.ok()) return fail(batch.status());
    for (const ClusterEvent& event : batch->events) {
      print(common, event);
      if (++printed == count) return ExitCode::kDone;
    }
    batch = (*node)->events(batch->last, kPollTime);
  }
}

}  // namespace

void add_event(CLI::App& app, Invocation& invocation) {
  auto* command =
      app.add_subcommand("event", "Tell every node's watchers something, once each, by gossip");
  const auto name = std::make_shared<std::string>();
  const auto payload = std::make_shared<std::string>();
  command->add_option("NAME", *name, "1 to 64 bytes")->required();
  command->add_option("PAYLOAD", *payload, "up to 1024 bytes; - reads it from standard input");
  command->callback(
      [&invocation, name, payload] { invocation.code = tell(invocation.common, *name, *payload); });
}

void add_watch(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("watch", "Print what happens, a line each, until stopped");
  const auto events = std::make_shared<bool>(false);
  const auto past = std::make_shared<bool>(false);
  const auto count = std::make_shared<std::size_t>(0);
  command->add_flag("--events", *events, "the events that grapevine event tells")->required();
  command->add_flag("--past", *past,
                    "those first that the node remembers: at most 256, of an hour");
  command->add_option("--count", *count, "stop after so many [never]")->type_name("N");
  command->callback(
      [&invocation, past, count] { invocation.code = watch(invocation.common, *past, *count); });
}

}  // namespace grapevine::tools
