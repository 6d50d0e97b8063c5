// How a node is told what to be: flags, environment variables and a TOML file, all with the same
// names.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gossip/swim_options.h"
#include "rpc/address.h"
#include "rpc/seal.h"
#include "server/protocols.h"
#include "storage/base/status.h"
#include "storage/base/time.h"
#include "storage/store_options.h"

namespace grapevine::server {

// Value. What `grapevined --help` explains; every name there is also a key of the file and, in
// capitals after GRAPEVINE_, an environment variable. A flag beats the environment, which beats the
// file.
struct Config {
  std::string data_dir = "./grapevine-data";
  std::string name;  // default: the host's name
  std::string cluster_name = "grapevine";
  std::string zone;
  rpc::Address client_listen{"127.0.0.1", 4740};
  rpc::Address peer_listen{"127.0.0.1", 4741};
  rpc::Address http_listen{"127.0.0.1", 4742};
  std::string
      advertise;  // HOST[:PORT] under which peers reach this node; default: what it listens on
  std::vector<std::string> join;  // HOST:PORT of peers
  // How far the nodes are apart: local (one machine), lan or wan; empty: local where peer_listen is
  // loopback, else lan.
  std::string network;
  std::string cluster_key_file;               // empty: no key
  std::vector<rpc::ClusterKey> cluster_keys;  // from that file; the first seals
  std::uint32_t replication_factor = 3;
  std::uint32_t partitions = 64;
  storage::Durability durability = storage::Durability::kSync;
  Duration gossip_interval = std::chrono::seconds(1);
  std::uint64_t sync_rate_bytes = 0;  // a second; 0: no limit
  std::uint64_t scrub_keys = 1000;    // checked a second; 0: none
  std::size_t cache_bytes = std::size_t{256} << 20;
  std::size_t dot_log_bytes = std::size_t{64} << 20;
  std::string log_level = "info";
  bool salvage = false;  // opens what the database refuses, at the cost of what cannot be read
  bool insecure = false;
  // Not an option: as a node of an older version (tests).
  std::uint32_t protocol_max = kProtocols.max;
};

// How members are probed and news is spread, by `network` and the cluster's name.
gossip::SwimOptions swim_options(const Config& config);
// What seals this cluster's packets: the keys of the file, or, without one, what its name gives.
std::vector<rpc::ClusterKey> sealing_keys(const Config& config);

// What the program is to do. The last two are done offline, and need no more than the data
// directory.
enum class Task {
  kServe,
  kCheckConfig,  // only say whether the configuration is well
  kVerify,       // check the data directory
  kRestore,      // make it from a backup
};

struct CommandLine {
  Config config;
  Task task = Task::kServe;
  // For kRestore:
  std::string backup_directory;
  std::uint32_t backup_number = 0;  // 0: the newest
  bool new_node = false;            // the directory becomes that of another node
};

// What parsing ended in when the program is not to go on: --help and --version (status 0), or an
// error (status 2). The text is for standard output or standard error.
struct Exit {
  int status = 0;
  std::string text;
};

// Reads and checks everything. Nothing is opened or listened on.
std::variant<CommandLine, Exit> parse_command_line(int argc, const char* const* argv);

}  // namespace grapevine::server
