#include "server/config.h"

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>
#include <CLI/CLI.hpp>

#include "absl/time/time.h"
#include "gossip/packet.h"
#include "storage/base/limits.h"
#include "storage/base/version.h"

namespace grapevine::server {
namespace {

// Lets CLI11 read real TOML: every key is a flag's name. CLI11 itself would let the file beat the
// environment, so what a variable sets is left out here.
class TomlFile final : public CLI::Config {
 public:
  // `app` must outlive it.
  explicit TomlFile(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> read;
    toml::table table;
    try {
      table = toml::parse(input);
    } catch (const toml::parse_error& error) {
      refuse(fmt::format("line {}: {}", error.source().begin.line, error.description()));
    }
    for (const auto& [key, value] : table) {
      CLI::ConfigItem item;
      item.name = std::string(key.str());
      const CLI::Option* const option = app_.get_option_no_throw("--" + item.name);
      if (option == nullptr || !option->get_configurable()) {
        refuse(fmt::format("line {}: unknown key \"{}\"", value.source().begin.line, item.name));
      }
      if (const toml::array* many = value.as_array()) {
        for (const toml::node& one : *many) item.inputs.push_back(text(item.name, one));
      } else {
        item.inputs.push_back(text(item.name, value));
      }
      const char* const variable = std::getenv(option->get_envname().c_str());
      if (variable == nullptr || *variable == '\0') read.push_back(std::move(item));
    }
    return read;
  }
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw CLI::ValidationError(
        "--config", fmt::format("{}: {}", app_.get_config_ptr()->as<std::string>(), why));
  }

  std::string text(const std::string& key, const toml::node& node) const {
    if (const auto string = node.value<std::string>()) return *string;
    if (!node.is_value()) {
      refuse(fmt::format("line {}: \"{}\" takes a value, or a list of values",
                         node.source().begin.line, key));
    }
    std::ostringstream out;
    node.visit([&](const auto& value) {
      if constexpr (toml::is_value<decltype(value)>) out << value.get();
    });
    return out.str();
  }

  const CLI::App& app_;
};

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "node";
}

rpc::Address address_or_throw(const std::string& flag, const std::string& text) {
  auto address = rpc::parse_address(text);
  if (!address.ok()) {
    throw CLI::ValidationError(flag, std::string(text_of(address.status())));
  }
  return *std::move(address);
}

std::vector<rpc::ClusterKey> keys_or_throw(const std::string& path) {
  if (path.empty()) return {};
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    throw CLI::ValidationError(
        "--cluster-key-file",
        fmt::format("{}: {}; name a file that this user may read", path, std::strerror(errno)));
  }
  auto keys = rpc::parse_cluster_keys(text);
  if (!keys.ok()) {
    throw CLI::ValidationError("--cluster-key-file",
                               fmt::format("{}: {}", path, text_of(keys.status())));
  }
  return *std::move(keys);
}

void refuse_open_doors(const Config& config) {
  if (config.insecure) return;
  const std::pair<const char*, const rpc::Address*> doors[] = {
      {"--client-listen", &config.client_listen},
      {"--peer-listen", &config.peer_listen},
      {"--http-listen", &config.http_listen}};
  for (const auto& [flag, address] : doors) {
    if (rpc::is_loopback(*address)) continue;
    throw CLI::ValidationError(
        flag, fmt::format("{} can be reached from other machines, and connections are neither "
                          "encrypted nor authenticated; listen on loopback, or accept that with "
                          "--insecure",
                          rpc::to_string(*address)));
  }
}

void check(const Config& config, const std::string& gossip_interval) {
  if (!std::has_single_bit(config.partitions) || config.partitions > kPartitionsMax) {
    throw CLI::ValidationError("--partitions", fmt::format("{} is not a power of two from 1 to {}",
                                                           config.partitions, kPartitionsMax));
  }
  if (config.replication_factor < 1 || config.replication_factor > kReplicationFactorMax) {
    throw CLI::ValidationError("--replication-factor",
                               fmt::format("{} is not a number from 1 to {}",
                                           config.replication_factor, kReplicationFactorMax));
  }
  if (config.gossip_interval < std::chrono::milliseconds(10) ||
      config.gossip_interval > std::chrono::hours(1)) {
    throw CLI::ValidationError("--gossip-interval",
                               fmt::format("{} does not lie between 10ms and 1h", gossip_interval));
  }
  if (config.cluster_name.empty() || config.cluster_name.size() > 255) {
    throw CLI::ValidationError("--cluster-name", "must have 1 to 255 bytes");
  }
  for (const std::string& seed : config.join) address_or_throw("--join", seed);
  refuse_open_doors(config);
}

}  // namespace

gossip::SwimOptions swim_options(const Config& config) {
  const bool local =
      config.network.empty() ? rpc::is_loopback(config.peer_listen) : config.network == "local";
  gossip::SwimOptions options = local                     ? gossip::SwimOptions::local()
                                : config.network == "wan" ? gossip::SwimOptions::wan()
                                                          : gossip::SwimOptions::lan();
  options.cluster = gossip::cluster_tag(config.cluster_name);
  return options;
}

std::vector<rpc::ClusterKey> sealing_keys(const Config& config) {
  if (!config.cluster_keys.empty()) return config.cluster_keys;
  return {rpc::key_without_secret(config.cluster_name)};
}

std::variant<CommandLine, Exit> parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  Config& config = line.config;
  config.name = host_name();
  CLI::App app{
      "A node of Grapevine, a replicated, always-writable key-value store.\n"
      "Without arguments: a single node on loopback with its data in ./grapevine-data.",
      "grapevined"};
  std::string client_listen = rpc::to_string(config.client_listen);
  std::string peer_listen = rpc::to_string(config.peer_listen);
  std::string http_listen = rpc::to_string(config.http_listen);
  std::string gossip_interval = "1s";
  std::string durability = "sync";
  const auto option = [&](const std::string& name, auto& target, const std::string& help) {
    std::string variable = "GRAPEVINE_";
    for (const char letter : name) {
      variable += letter == '-' ? '_' : static_cast<char>(std::toupper(letter));
    }
    return app.add_option("--" + name, target, help)->envname(variable)->capture_default_str();
  };
  option("data-dir", config.data_dir, "where the data lives; made if it does not exist");
  option("name", config.name, "this node's name, for people");
  option("cluster-name", config.cluster_name, "must be the same on all nodes; fixed for good");
  option("zone", config.zone, "failure domain; replicas are spread over zones");
  option("client-listen", client_listen, "HOST:PORT for clients");
  option("peer-listen", peer_listen, "HOST:PORT for the other nodes");
  option("http-listen", http_listen, "HOST:PORT for health checks");
  option("advertise", config.advertise,
         "HOST[:PORT] under which the other nodes reach this one; default: --peer-listen");
  option("join", config.join, "HOST:PORT[,...] of nodes of the cluster; any live one is enough")
      ->delimiter(',');
  option("network", config.network,
         "how far the nodes are apart: local (one machine), lan or wan; says how soon a node that "
         "does not answer counts as down; default: local when --peer-listen is loopback, else lan")
      ->check(CLI::IsMember({"local", "lan", "wan"}));
  option(
      "cluster-key-file", config.cluster_key_file,
      "file with the key that all nodes of the cluster share, as openssl rand -hex 32 prints it; "
      "to change it, put the new one on a second line on all nodes, then first, then alone");
  option("replication-factor", config.replication_factor, "owners of each key");
  option("partitions", config.partitions, "a power of two, the same on all nodes; fixed for good");
  option("durability", durability,
         "when a write is acknowledged: sync (fsynced) or os (written to the kernel)")
      ->check(CLI::IsMember({"sync", "os"}));
  option("gossip-interval", gossip_interval, "how often replicas are compared, e.g. 1s, 500ms");
  option("sync-rate", config.sync_rate_bytes,
         "bytes a second that anti-entropy may pull, e.g. 64MiB; 0: no limit")
      ->transform(CLI::AsSizeValue(false));
  option("scrub-rate", config.scrub_keys,
         "stored keys a second that are read and checked in the background; 0: none");
  option("cache-size", config.cache_bytes, "block cache, e.g. 256MiB")
      ->transform(CLI::AsSizeValue(false));
  option("dot-log-size", config.dot_log_bytes, "memory that names recent writes, e.g. 64MiB")
      ->transform(CLI::AsSizeValue(false));
  option("log-level", config.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.add_flag("--insecure", config.insecure,
               "allow listening beyond loopback without TLS and credentials")
      ->envname("GRAPEVINE_INSECURE");
  app.add_flag(
         "--salvage", config.salvage,
         "start although the database is damaged: repair its files first, at the cost of what "
         "cannot be read, and get that back from the other nodes")
      ->configurable(false);
  bool check_config = false;
  bool verify = false;
  auto* const check_flag =
      app.add_flag("--check-config", check_config, "check flags and file, then exit")
          ->configurable(false);
  auto* const verify_flag =
      app.add_flag("--verify", verify,
                   "check everything in --data-dir, offline and changing nothing, then exit: 0 no "
                   "damage, 1 damage, 2 nothing to check")
          ->configurable(false)
          ->excludes(check_flag);
  auto* const restore =
      app.add_option("--restore", line.backup_directory,
                     "make --data-dir, which must be empty, from the newest backup in this "
                     "DIR/NODE-ID, check it, then exit")
          ->configurable(false)
          ->excludes(check_flag)
          ->excludes(verify_flag);
  app.add_option("--backup", line.backup_number, "with --restore: the number of the backup")
      ->check(CLI::Range(1U, ~0U))
      ->configurable(false)
      ->needs(restore);
  app.add_flag("--new-node", line.new_node,
               "with --restore: as another node, with an id of its own, that knows no member")
      ->configurable(false)
      ->needs(restore);
  app.set_version_flag("--version", std::string("grapevined ") + kVersion);
  app.config_formatter(std::make_shared<TomlFile>(app));
  app.set_config("--config", "", "TOML file; its keys are the names of these flags");
  app.allow_config_extras(CLI::config_extras_mode::error);
  try {
    app.parse(argc, argv);
    config.client_listen = address_or_throw("--client-listen", client_listen);
    config.peer_listen = address_or_throw("--peer-listen", peer_listen);
    config.http_listen = address_or_throw("--http-listen", http_listen);
    config.cluster_keys = keys_or_throw(config.cluster_key_file);
    config.durability =
        durability == "sync" ? storage::Durability::kSync : storage::Durability::kOs;
    absl::Duration interval;
    if (!absl::ParseDuration(gossip_interval, &interval)) {
      throw CLI::ValidationError(
          "--gossip-interval",
          fmt::format("\"{}\" is no duration; write 1s or 500ms", gossip_interval));
    }
    config.gossip_interval = absl::ToChronoNanoseconds(interval);
    check(config, gossip_interval);
    if (check_config) line.task = Task::kCheckConfig;
    if (verify) line.task = Task::kVerify;
    if (restore->count() > 0) line.task = Task::kRestore;
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream ignored;
    if (error.get_exit_code() == 0) {
      app.exit(error, out, ignored);
      return Exit{0, out.str()};
    }
    return Exit{2, fmt::format("grapevined: {}; see grapevined --help\n", error.what())};
  }
  return line;
}

}  // namespace grapevine::server
