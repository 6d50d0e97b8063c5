// Goal: a node is told what to be by flags, environment and file, in that order; every mistake is
// one line that says what, which and what to do, and exit code 2. Method: command lines, variables
// of this process, files in a directory of their own.
#include "server/config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/limits.h"

namespace grapevine::server {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Strings = std::vector<std::string>;

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "grapevine-test-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~ConfigTest() override {
    for (const std::string& name : variables_) unsetenv(name.c_str());
    std::filesystem::remove_all(directory_);
  }

  void set_variable(const std::string& name, const std::string& value) {
    variables_.push_back(name);
    ASSERT_EQ(setenv(name.c_str(), value.c_str(), 1), 0);
  }

  std::string file(const std::string& text) {
    const std::string path = directory_ / "grapevine.toml";
    std::ofstream(path) << text;
    return path;
  }

  static std::variant<CommandLine, Exit> parse(const Strings& flags) {
    std::vector<const char*> argv{"grapevined"};
    for (const std::string& flag : flags) argv.push_back(flag.c_str());
    return parse_command_line(static_cast<int>(argv.size()), argv.data());
  }

  // What `flags` ask for; the test fails when they are refused.
  static Config config(const Strings& flags) {
    auto parsed = parse(flags);
    if (const auto* exit = std::get_if<Exit>(&parsed)) {
      ADD_FAILURE() << exit->text;
      return {};
    }
    return std::get<CommandLine>(parsed).config;
  }

  // The complaint about `flags`: one line on standard error, exit code 2.
  static std::string complaint(const Strings& flags) {
    auto parsed = parse(flags);
    const auto* exit = std::get_if<Exit>(&parsed);
    if (exit == nullptr) {
      ADD_FAILURE() << "was accepted";
      return {};
    }
    EXPECT_EQ(exit->status, 2);
    EXPECT_THAT(exit->text, StartsWith("grapevined: "));
    EXPECT_EQ(exit->text.find('\n'), exit->text.size() - 1) << exit->text;
    return exit->text;
  }

  std::filesystem::path directory_;
  Strings variables_;
};

TEST_F(ConfigTest, WithoutAnyFlagASingleNodeOnLoopback) {
  const Config config = this->config({});
  EXPECT_EQ(config.data_dir, "./grapevine-data");
  EXPECT_EQ(config.cluster_name, "grapevine");
  EXPECT_FALSE(config.name.empty());
  EXPECT_EQ(rpc::to_string(config.client_listen), "127.0.0.1:4740");
  EXPECT_EQ(rpc::to_string(config.peer_listen), "127.0.0.1:4741");
  EXPECT_EQ(rpc::to_string(config.http_listen), "127.0.0.1:4742");
  EXPECT_TRUE(config.join.empty());
  EXPECT_EQ(config.replication_factor, 3U);
  EXPECT_EQ(config.partitions, 64U);
  EXPECT_EQ(config.durability, storage::Durability::kSync);
  EXPECT_EQ(config.gossip_interval, std::chrono::seconds(1));
  EXPECT_FALSE(config.insecure);
}

TEST_F(ConfigTest, EveryFlagIsHeard) {
  const Config config = this->config({"--data-dir",
                                      "/data",
                                      "--name",
                                      "n1",
                                      "--cluster-name",
                                      "c",
                                      "--zone",
                                      "z",
                                      "--client-listen",
                                      "0.0.0.0:1",
                                      "--peer-listen",
                                      "[::1]:2",
                                      "--http-listen",
                                      "localhost:3",
                                      "--advertise",
                                      "host",
                                      "--join",
                                      "a:1,b:2",
                                      "--replication-factor",
                                      "5",
                                      "--partitions",
                                      "128",
                                      "--durability",
                                      "os",
                                      "--gossip-interval",
                                      "250ms",
                                      "--cache-size",
                                      "16MiB",
                                      "--dot-log-size",
                                      "2MiB",
                                      "--log-level",
                                      "debug",
                                      "--insecure"});
  EXPECT_EQ(config.data_dir, "/data");
  EXPECT_EQ(config.name, "n1");
  EXPECT_EQ(config.cluster_name, "c");
  EXPECT_EQ(config.zone, "z");
  EXPECT_EQ(config.client_listen, (rpc::Address{"0.0.0.0", 1}));
  EXPECT_EQ(config.peer_listen, (rpc::Address{"::1", 2}));
  EXPECT_EQ(config.http_listen, (rpc::Address{"localhost", 3}));
  EXPECT_EQ(config.advertise, "host");
  EXPECT_EQ(config.join, (Strings{"a:1", "b:2"}));
  EXPECT_EQ(config.replication_factor, 5U);
  EXPECT_EQ(config.partitions, 128U);
  EXPECT_EQ(config.durability, storage::Durability::kOs);
  EXPECT_EQ(config.gossip_interval, milliseconds(250));
  EXPECT_EQ(config.cache_bytes, std::size_t{16} << 20);
  EXPECT_EQ(config.dot_log_bytes, std::size_t{2} << 20);
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_TRUE(config.insecure);
}

TEST_F(ConfigTest, EveryFlagIsAVariableToo) {
  const std::pair<const char*, const char*> variables[] = {{"DATA_DIR", "/data"},
                                                           {"NAME", "n1"},
                                                           {"CLUSTER_NAME", "c"},
                                                           {"ZONE", "z"},
                                                           {"CLIENT_LISTEN", "0.0.0.0:1"},
                                                           {"PEER_LISTEN", "[::1]:2"},
                                                           {"HTTP_LISTEN", "localhost:3"},
                                                           {"ADVERTISE", "host"},
                                                           {"JOIN", "a:1,b:2"},
                                                           {"REPLICATION_FACTOR", "5"},
                                                           {"PARTITIONS", "128"},
                                                           {"DURABILITY", "os"},
                                                           {"GOSSIP_INTERVAL", "250ms"},
                                                           {"CACHE_SIZE", "16MiB"},
                                                           {"DOT_LOG_SIZE", "2MiB"},
                                                           {"LOG_LEVEL", "debug"},
                                                           {"INSECURE", "true"}};
  for (const auto& [name, value] : variables) set_variable(std::string("GRAPEVINE_") + name, value);
  const Config config = this->config({});
  EXPECT_EQ(config.data_dir, "/data");
  EXPECT_EQ(config.name, "n1");
  EXPECT_EQ(config.cluster_name, "c");
  EXPECT_EQ(config.zone, "z");
  EXPECT_EQ(config.client_listen, (rpc::Address{"0.0.0.0", 1}));
  EXPECT_EQ(config.peer_listen, (rpc::Address{"::1", 2}));
  EXPECT_EQ(config.http_listen, (rpc::Address{"localhost", 3}));
  EXPECT_EQ(config.advertise, "host");
  EXPECT_EQ(config.join, (Strings{"a:1", "b:2"}));
  EXPECT_EQ(config.replication_factor, 5U);
  EXPECT_EQ(config.partitions, 128U);
  EXPECT_EQ(config.durability, storage::Durability::kOs);
  EXPECT_EQ(config.gossip_interval, milliseconds(250));
  EXPECT_EQ(config.cache_bytes, std::size_t{16} << 20);
  EXPECT_EQ(config.dot_log_bytes, std::size_t{2} << 20);
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_TRUE(config.insecure);
}

TEST_F(ConfigTest, EveryFlagIsAKeyOfTheFileToo) {
  const Config config = this->config({"--config", file(R"(
data-dir = "/data"
name = "n1"
cluster-name = "c"
zone = "z"
client-listen = "0.0.0.0:1"
peer-listen = "[::1]:2"
http-listen = "localhost:3"
advertise = "host"
join = ["a:1", "b:2"]   # or "a:1,b:2"
replication-factor = 5
partitions = 128
durability = "os"
gossip-interval = "250ms"
cache-size = "16MiB"
dot-log-size = 2097152
log-level = "debug"
insecure = true
)")});
  EXPECT_EQ(config.data_dir, "/data");
  EXPECT_EQ(config.name, "n1");
  EXPECT_EQ(config.cluster_name, "c");
  EXPECT_EQ(config.zone, "z");
  EXPECT_EQ(config.client_listen, (rpc::Address{"0.0.0.0", 1}));
  EXPECT_EQ(config.peer_listen, (rpc::Address{"::1", 2}));
  EXPECT_EQ(config.http_listen, (rpc::Address{"localhost", 3}));
  EXPECT_EQ(config.advertise, "host");
  EXPECT_EQ(config.join, (Strings{"a:1", "b:2"}));
  EXPECT_EQ(config.replication_factor, 5U);
  EXPECT_EQ(config.partitions, 128U);
  EXPECT_EQ(config.durability, storage::Durability::kOs);
  EXPECT_EQ(config.gossip_interval, milliseconds(250));
  EXPECT_EQ(config.cache_bytes, std::size_t{16} << 20);
  EXPECT_EQ(config.dot_log_bytes, std::size_t{2} << 20);
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_TRUE(config.insecure);
}

TEST_F(ConfigTest, SeedsInAFileMayStandInOneString) {
  EXPECT_EQ(config({"--config", file("join = \"a:1,b:2\"\n")}).join, (Strings{"a:1", "b:2"}));
}

TEST_F(ConfigTest, FalseInAFileIsFalse) {
  EXPECT_FALSE(config({"--config", file("insecure = false\n")}).insecure);
}

TEST_F(ConfigTest, AnEmptyFileSaysNothing) {
  EXPECT_EQ(config({"--config", file("# nothing\n")}).cluster_name, "grapevine");
}

// ---- membership

TEST_F(ConfigTest, HowFarTheNodesAreApartSaysHowSoonOneCountsAsDown) {
  const auto interval = [](const Strings& flags) {
    return swim_options(config(flags)).probe_interval;
  };
  EXPECT_EQ(interval({}), gossip::SwimOptions::local().probe_interval);
  EXPECT_EQ(interval({"--network", "lan"}), gossip::SwimOptions::lan().probe_interval);
  EXPECT_EQ(interval({"--network", "wan"}), gossip::SwimOptions::wan().probe_interval);
  EXPECT_EQ(interval({"--peer-listen", "10.0.0.1:4741", "--insecure"}),
            gossip::SwimOptions::lan().probe_interval);
  EXPECT_EQ(interval({"--config", file("network = \"wan\"\n")}),
            gossip::SwimOptions::wan().probe_interval);
  EXPECT_NE(swim_options(config({})).cluster,
            swim_options(config({"--cluster-name", "c"})).cluster);
  EXPECT_THAT(complaint({"--network", "moon"}),
              AllOf(HasSubstr("--network"), HasSubstr("moon"), HasSubstr("local")));
}

TEST_F(ConfigTest, TheClustersKeysAreReadFromAFile) {
  const std::string path = directory_ / "keys";
  std::ofstream(path) << std::string(64, 'a') << '\n' << std::string(64, 'b') << '\n';
  const auto keys = sealing_keys(config({"--cluster-key-file", path}));
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0].secret[0], 0xaa);
  set_variable("GRAPEVINE_CLUSTER_KEY_FILE", path);
  EXPECT_EQ(sealing_keys(config({})).size(), 2U);
}

TEST_F(ConfigTest, WithoutAKeyTheClustersNameMakesOne) {
  const auto keys = sealing_keys(config({}));
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys[0].secret, sealing_keys(config({"--zone", "z"}))[0].secret);
  EXPECT_NE(keys[0].secret, sealing_keys(config({"--cluster-name", "c"}))[0].secret);
}

TEST_F(ConfigTest, AKeyFileThatIsMissingOrMalformedIsNamedWithoutItsContents) {
  const std::string path = directory_ / "keys";
  EXPECT_THAT(complaint({"--cluster-key-file", path}),
              AllOf(HasSubstr("--cluster-key-file"), HasSubstr(path), HasSubstr("No such file")));
  std::ofstream(path) << std::string(63, 'a') << '\n';
  const std::string malformed = complaint({"--cluster-key-file", path});
  EXPECT_THAT(malformed, AllOf(HasSubstr("--cluster-key-file"), HasSubstr(path),
                               HasSubstr("line 1"), HasSubstr("openssl rand -hex 32")));
  EXPECT_EQ(malformed.find("aaaa"), std::string::npos);
}

// ---- precedence

TEST_F(ConfigTest, TheEnvironmentBeatsTheFile) {
  set_variable("GRAPEVINE_ZONE", "environment");
  EXPECT_EQ(config({"--config", file("zone = \"file\"\nname = \"n1\"\n")}).zone, "environment");
}

TEST_F(ConfigTest, AFlagBeatsTheEnvironmentAndTheFile) {
  set_variable("GRAPEVINE_ZONE", "environment");
  EXPECT_EQ(config({"--zone", "flag"}).zone, "flag");
  EXPECT_EQ(config({"--config", file("zone = \"file\"\n"), "--zone", "flag"}).zone, "flag");
}

TEST_F(ConfigTest, SeedsOfTheEnvironmentReplaceThoseOfTheFile) {
  set_variable("GRAPEVINE_JOIN", "a:1");
  EXPECT_EQ(config({"--config", file("join = [\"b:2\", \"c:3\"]\n")}).join, Strings{"a:1"});
}

TEST_F(ConfigTest, AMistakeInTheFileShowsEvenUnderAVariable) {
  set_variable("GRAPEVINE_ZONES", "x");
  EXPECT_THAT(complaint({"--config", file("zones = \"y\"\n")}), HasSubstr("zones"));
}

// ---- units

TEST_F(ConfigTest, DurationsCarryUnits) {
  EXPECT_EQ(config({"--gossip-interval", "1.5s"}).gossip_interval, milliseconds(1500));
  EXPECT_EQ(config({"--gossip-interval", "2m"}).gossip_interval, std::chrono::minutes(2));
  EXPECT_THAT(complaint({"--gossip-interval", "5"}),
              AllOf(HasSubstr("--gossip-interval"), HasSubstr("\"5\""), HasSubstr("500ms")));
  EXPECT_THAT(complaint({"--gossip-interval", "often"}), HasSubstr("\"often\""));
}

TEST_F(ConfigTest, AnIntervalHasBounds) {
  EXPECT_EQ(config({"--gossip-interval", "10ms"}).gossip_interval, milliseconds(10));
  EXPECT_EQ(config({"--gossip-interval", "1h"}).gossip_interval, std::chrono::hours(1));
  for (const char* interval : {"9ms", "0s", "-1s", "61m", "inf", "-inf"}) {
    EXPECT_THAT(complaint({"--gossip-interval", interval}),
                AllOf(HasSubstr("--gossip-interval"), HasSubstr(interval), HasSubstr("10ms"),
                      HasSubstr("1h")));
  }
}

TEST_F(ConfigTest, SizesCarryUnits) {
  EXPECT_EQ(config({"--cache-size", "1KiB"}).cache_bytes, 1024U);
  EXPECT_EQ(config({"--cache-size", "4096"}).cache_bytes, 4096U);
  EXPECT_EQ(config({"--cache-size", "2GiB"}).cache_bytes, std::size_t{2} << 30);
  EXPECT_THAT(complaint({"--cache-size", "much"}),
              AllOf(HasSubstr("--cache-size"), HasSubstr("much")));
  EXPECT_THAT(complaint({"--dot-log-size", "3 potatoes"}),
              AllOf(HasSubstr("--dot-log-size"), HasSubstr("potatoes")));
}

// ---- mistakes

TEST_F(ConfigTest, AnUnknownFlagIsNamed) {
  EXPECT_THAT(complaint({"--dat-dir", "/data"}),
              AllOf(HasSubstr("--dat-dir"), HasSubstr("--help")));
  EXPECT_THAT(complaint({"start"}), HasSubstr("start"));
}

TEST_F(ConfigTest, AFlagWithoutItsValueIsNamed) {
  EXPECT_THAT(complaint({"--data-dir"}), HasSubstr("--data-dir"));
}

TEST_F(ConfigTest, AnUnknownKeyOfTheFileIsNamedWithTheFile) {
  const std::string path = file("zone = \"z\"\ndata_dir = \"/data\"\n");
  EXPECT_THAT(complaint({"--config", path}), AllOf(HasSubstr("data_dir"), HasSubstr(path)));
}

TEST_F(ConfigTest, ATableInTheFileIsNoKey) {
  EXPECT_THAT(complaint({"--config", file("[zone]\na = 1\n")}), HasSubstr("zone"));
  EXPECT_THAT(complaint({"--config", file("join = [[\"a:1\"]]\n")}), HasSubstr("join"));
}

TEST_F(ConfigTest, BadTomlIsShownWithFileAndLine) {
  const std::string path = file("zone = \"z\"\nname = unquoted\n");
  EXPECT_THAT(complaint({"--config", path}), AllOf(HasSubstr(path), HasSubstr("line 2")));
  EXPECT_THAT(complaint({"--config", file("zone = 1\nzone = 2\n")}), HasSubstr("line 2"));
}

TEST_F(ConfigTest, AFileThatDoesNotExistIsNamed) {
  EXPECT_THAT(complaint({"--config", "/no/such/file.toml"}), HasSubstr("/no/such/file.toml"));
  EXPECT_THAT(complaint({"--config", directory_.string()}), HasSubstr(directory_.string()));
}

TEST_F(ConfigTest, ABadAddressIsNamedWithItsFlag) {
  for (const char* flag : {"--client-listen", "--peer-listen", "--http-listen", "--join"}) {
    for (const char* address :
         {"localhost", "localhost:", "localhost:x", "localhost:65536", ":1"}) {
      EXPECT_THAT(complaint({flag, address}), AllOf(HasSubstr(flag), HasSubstr(address)));
    }
  }
}

TEST_F(ConfigTest, PartitionsAreAPowerOfTwo) {
  EXPECT_EQ(config({"--partitions", "1"}).partitions, 1U);
  EXPECT_EQ(config({"--partitions", "65536"}).partitions, kPartitionsMax);
  for (const char* count : {"0", "3", "100", "131072", "-2", "many"}) {
    EXPECT_THAT(complaint({"--partitions", count}),
                AllOf(HasSubstr("--partitions"), HasSubstr(count)));
  }
  EXPECT_THAT(complaint({"--partitions", "100"}), HasSubstr("power of two"));
}

TEST_F(ConfigTest, TheReplicationFactorHasBounds) {
  EXPECT_EQ(config({"--replication-factor", "1"}).replication_factor, 1U);
  EXPECT_EQ(config({"--replication-factor", "16"}).replication_factor, kReplicationFactorMax);
  for (const char* factor : {"0", "17", "-1", "three"}) {
    EXPECT_THAT(complaint({"--replication-factor", factor}),
                AllOf(HasSubstr("--replication-factor"), HasSubstr(factor)));
  }
}

TEST_F(ConfigTest, ChoicesAreListed) {
  EXPECT_THAT(
      complaint({"--durability", "maybe"}),
      AllOf(HasSubstr("--durability"), HasSubstr("maybe"), HasSubstr("sync"), HasSubstr("os")));
  EXPECT_THAT(complaint({"--log-level", "loud"}),
              AllOf(HasSubstr("--log-level"), HasSubstr("loud"), HasSubstr("warning")));
}

TEST_F(ConfigTest, AClusterHasAName) {
  EXPECT_THAT(complaint({"--cluster-name", ""}), HasSubstr("--cluster-name"));
  EXPECT_THAT(complaint({"--cluster-name", std::string(256, 'x')}), HasSubstr("--cluster-name"));
}

TEST_F(ConfigTest, ListeningBeyondLoopbackMustBeAcceptedAsInsecure) {
  for (const char* flag : {"--client-listen", "--peer-listen", "--http-listen"}) {
    EXPECT_THAT(complaint({flag, "0.0.0.0:1"}),
                AllOf(HasSubstr(flag), HasSubstr("0.0.0.0:1"), HasSubstr("--insecure")));
    EXPECT_TRUE(config({flag, "0.0.0.0:1", "--insecure"}).insecure);
    EXPECT_FALSE(config({flag, "127.0.0.1:1"}).insecure);
  }
}

TEST_F(ConfigTest, AMistakeInAVariableOrInTheFileIsComplainedAboutAlike) {
  set_variable("GRAPEVINE_PARTITIONS", "100");
  EXPECT_THAT(complaint({}), HasSubstr("--partitions: 100"));
  unsetenv("GRAPEVINE_PARTITIONS");
  EXPECT_THAT(complaint({"--config", file("partitions = 100\n")}), HasSubstr("--partitions: 100"));
  EXPECT_THAT(complaint({"--config", file("partitions = -64\n")}), HasSubstr("partitions"));
}

// ---- what ends well

TEST_F(ConfigTest, HelpAndVersionExitWithZero) {
  const auto help = parse({"--help"});
  ASSERT_TRUE(std::holds_alternative<Exit>(help));
  EXPECT_EQ(std::get<Exit>(help).status, 0);
  for (const char* flag :
       {"--data-dir", "--name", "--cluster-name", "--zone", "--client-listen", "--peer-listen",
        "--http-listen", "--advertise", "--join", "--replication-factor", "--partitions",
        "--durability", "--gossip-interval", "--config", "--log-level", "--insecure",
        "--check-config", "--version"}) {
    EXPECT_THAT(std::get<Exit>(help).text, HasSubstr(flag));
  }
  const auto version = parse({"--version"});
  ASSERT_TRUE(std::holds_alternative<Exit>(version));
  EXPECT_EQ(std::get<Exit>(version).status, 0);
  EXPECT_THAT(std::get<Exit>(version).text, StartsWith("grapevined "));
}

TEST_F(ConfigTest, OfflineTasksAreAskedForByFlagsAlone) {
  const auto verify = parse({"--verify", "--data-dir", "d"});
  ASSERT_TRUE(std::holds_alternative<CommandLine>(verify));
  EXPECT_EQ(std::get<CommandLine>(verify).task, Task::kVerify);
  EXPECT_EQ(std::get<CommandLine>(verify).config.data_dir, "d");
  const auto restore =
      parse({"--restore", "/b/n", "--data-dir", "d", "--backup", "3", "--new-node"});
  ASSERT_TRUE(std::holds_alternative<CommandLine>(restore));
  const CommandLine& line = std::get<CommandLine>(restore);
  EXPECT_EQ(line.task, Task::kRestore);
  EXPECT_EQ(line.backup_directory, "/b/n");
  EXPECT_EQ(line.backup_number, 3U);
  EXPECT_TRUE(line.new_node);
  EXPECT_THAT(complaint({"--backup", "3"}), HasSubstr("--restore"));
  EXPECT_THAT(complaint({"--new-node"}), HasSubstr("--restore"));
  EXPECT_THAT(complaint({"--restore", "b", "--backup", "0"}), HasSubstr("--backup"));
  EXPECT_THAT(complaint({"--restore", "b", "--verify"}), HasSubstr("--verify"));
  EXPECT_THAT(complaint({"--config", file("verify = true\n")}), HasSubstr("verify"));
}

TEST_F(ConfigTest, CheckConfigChecksAndSaysSo) {
  const auto good = parse({"--check-config", "--config", file("zone = \"z\"\n")});
  ASSERT_TRUE(std::holds_alternative<CommandLine>(good));
  EXPECT_EQ(std::get<CommandLine>(good).task, Task::kCheckConfig);
  EXPECT_EQ(std::get<CommandLine>(parse({})).task, Task::kServe);
  EXPECT_THAT(complaint({"--check-config", "--partitions", "3"}), HasSubstr("--partitions"));
}

}  // namespace
}  // namespace grapevine::server
