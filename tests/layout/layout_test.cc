// Goal: the rooms stay as ARCHITECTURE.md draws them, and the core stays deterministic. Method:
// reads the sources. The table of rooms in CMakeLists.txt says who may use whom; here stands which
// libraries each room may see, and which calls the core may not make.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace grapevine {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = GRAPEVINE_SOURCE_DIR;

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Room {
  std::string folder;
  std::set<std::string> uses;  // names of rooms
};

// The lines grapevine_room(NAME FOLDER USES...) of CMakeLists.txt.
std::map<std::string, Room> rooms() {
  std::map<std::string, Room> rooms;
  const std::string text = text_of(kRoot / "CMakeLists.txt");
  const std::regex line(R"(\ngrapevine_room\(([^)]+)\))");
  for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at) {
    std::istringstream words((*at)[1].str());
    std::string name;
    std::string use;
    words >> name;
    Room& room = rooms[name];
    words >> room.folder;
    while (words >> use) room.uses.insert(use);
  }
  return rooms;
}

bool is_source(const fs::path& file) {
  return file.extension() == ".h" || file.extension() == ".cc";
}

std::vector<fs::path> sources_in(const std::string& folder, bool recursive) {
  std::vector<fs::path> files;
  const auto take = [&](const fs::directory_entry& entry) {
    if (entry.is_regular_file() && is_source(entry.path())) files.push_back(entry.path());
  };
  if (recursive) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) take(entry);
  } else {
    for (const auto& entry : fs::directory_iterator(kRoot / folder)) take(entry);
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The client's public header stands in a folder of its own below the room.
std::vector<fs::path> sources_of(const Room& room) {
  return sources_in(room.folder, room.folder == "client");
}

std::vector<std::string> includes_of(const fs::path& file) {
  std::vector<std::string> includes;
  const std::string text = text_of(file);
  const std::regex line(R"re((?:^|\n)#include [<"]([^>"]+)[>"])re");
  for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at) {
    includes.push_back((*at)[1]);
  }
  return includes;
}

// The room that a header of ours belongs to; empty for those of others.
std::string room_of(const std::string& include, const std::map<std::string, Room>& rooms) {
  if (include.starts_with("grapevine/")) return "client";
  const std::string folder = fs::path(include).parent_path();
  for (const auto& [name, room] : rooms) {
    if (room.folder == folder) return name;
  }
  return {};
}

TEST(Rooms, TheTableIsWhereItIsLookedFor) {
  EXPECT_EQ(rooms().size(), 8U);
}

TEST(Rooms, IncludeOnlyWhatTheTableGrants) {
  const auto table = rooms();
  for (const auto& [name, room] : table) {
    for (const fs::path& file : sources_of(room)) {
      for (const std::string& include : includes_of(file)) {
        const std::string used = room_of(include, table);
        if (used.empty() || used == name) continue;
        EXPECT_TRUE(room.uses.contains(used)) << file << " includes " << include;
      }
    }
  }
}

TEST(Rooms, NothingKnowsTheTests) {
  for (const auto& [name, room] : rooms()) {
    for (const fs::path& file : sources_of(room)) {
      for (const std::string& include : includes_of(file)) {
        EXPECT_FALSE(include.starts_with("tests/")) << file << " includes " << include;
      }
    }
  }
}

// Libraries that only some rooms may see: the first part of an include, and the rooms.
TEST(Rooms, KeepTheirLibrariesToThemselves) {
  const std::map<std::string, std::set<std::string>> allowed{
      {"rocksdb", {"storage"}},
      {"asio", {"rpc", "server"}},
      {"kj", {"rpc", "server", "client", "tools"}},
      {"capnp", {"rpc", "server", "client", "tools"}},
      {"openssl", {"rpc"}},
      {"spdlog", {"server"}},
      {"toml++", {"server"}},
      {"CLI", {"server", "tools"}},
      {"nlohmann", {"server", "tools"}},
  };
  for (const auto& [name, room] : rooms()) {
    for (const fs::path& file : sources_of(room)) {
      for (const std::string& include : includes_of(file)) {
        std::string library = include.substr(0, include.find('/'));
        if (library.ends_with(".hpp")) library = fs::path(library).stem();
        const auto rule = allowed.find(library);
        if (rule == allowed.end()) continue;
        EXPECT_TRUE(rule->second.contains(name)) << file << " includes " << include;
      }
    }
  }
}

TEST(Rooms, PublicHeadersShowNoLibraryThatTheirUsersNeedNotKnow) {
  for (const fs::path& file : sources_in("client/include", true)) {
    for (const std::string& include : includes_of(file)) {
      EXPECT_FALSE(include.starts_with("kj/") || include.starts_with("capnp/") ||
                   include.starts_with("asio") || include.starts_with("rpc/"))
          << file << " includes " << include;
    }
  }
  for (const fs::path& file : sources_in("storage", false)) {
    if (file.extension() != ".h" || file.stem() == "engine_rocksdb") continue;
    for (const std::string& include : includes_of(file)) {
      EXPECT_FALSE(include.starts_with("rocksdb/")) << file << " includes " << include;
    }
  }
}

// Time, chance and waiting come in from outside; what the core iterates over has an order.
// (RocksDB's own threads use engine_rocksdb and rocksdb_log, which are not of the core.)
TEST(TheCore, ReadsNoClockDrawsNoChanceAndNeverWaits) {
  const std::vector<std::string> banned{
      "steady_clock", "chrono::system_clock", "system_clock::", "high_resolution_clock",
      "sleep_for",    "sleep_until",          "random_device",  "std::rand",
      "srand(",       "time(nullptr)",        "gettimeofday",   "clock_gettime",
      "std::thread",  "std::mutex",           "std::atomic",    "unordered_map",
      "unordered_set"};
  std::vector<fs::path> core;
  for (const std::string folder : {"storage/base", "storage/model", "storage", "gossip"}) {
    for (const fs::path& file : sources_in(folder, false)) core.push_back(file);
  }
  for (const fs::path& file : sources_in("server", false)) {
    if (file.filename().string().starts_with("coordinator")) core.push_back(file);
  }
  ASSERT_GT(core.size(), 50U);
  for (const fs::path& file : core) {
    if (file.stem() == "engine_rocksdb" || file.stem() == "rocksdb_log") continue;
    const std::string text = text_of(file);
    for (const std::string& call : banned) {
      EXPECT_EQ(text.find(call), std::string::npos) << file << " uses " << call;
    }
  }
}

// Flaws are in the program only where the one test library asks for them, and change no header.
TEST(PlantedFlaws, AreAskedForByOneLibraryOfTheTests) {
  const std::string definition = "GRAPEVINE_PLANTED_FLAWS";
  for (const auto& [name, room] : rooms()) {
    for (const fs::path& file : sources_of(room)) {
      if (file.filename() == "planted_flaws.h") continue;
      const std::string text = text_of(file);
      EXPECT_EQ(text.find(definition), std::string::npos) << file;
      if (file.extension() == ".h") {
        EXPECT_EQ(text.find("GRAPEVINE_FLAW"), std::string::npos) << file;
      }
    }
    const fs::path build = kRoot / room.folder / "CMakeLists.txt";
    if (fs::exists(build)) {
      EXPECT_EQ(text_of(build).find(definition), std::string::npos) << build;
    }
  }
  const std::string build = text_of(kRoot / "tests/CMakeLists.txt");
  const std::size_t first =
      build.find("target_compile_definitions(grapevine_flawed PUBLIC " + definition);
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(build.find(definition), build.rfind(definition)) << "asked for more than once";
  const std::string link = "LINK grapevine_flawed";
  for (std::size_t at = build.find(link); at != std::string::npos; at = build.find(link, at + 1)) {
    const std::size_t test = build.rfind("grapevine_test(", at);
    ASSERT_NE(test, std::string::npos);
    const std::string name = build.substr(test, build.find(' ', test) - test);
    EXPECT_TRUE(name.ends_with("_flawed")) << name;
  }
}

TEST(Tests, AwaitEventsInsteadOfSleeping) {
  for (const fs::path& file : sources_in("tests", true)) {
    if (file.filename() == "layout_test.cc") continue;
    const std::string text = text_of(file);
    for (const std::string call : {"sleep_for", "sleep_until", "usleep", "::sleep("}) {
      EXPECT_EQ(text.find(call), std::string::npos) << file << " uses " << call;
    }
  }
}

TEST(Tests, OfEveryFolderAreInTheBuild) {
  const std::string build = text_of(kRoot / "tests/CMakeLists.txt");
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "tests")) {
    const std::string name = entry.path().filename();
    if (!name.ends_with("_test.cc")) continue;
    const std::string folder = entry.path().parent_path().filename();
    EXPECT_NE(build.find("grapevine_test(" + folder), std::string::npos) << entry.path();
  }
}

TEST(Documents, ShowTheExampleThatIsCompiled) {
  std::string example = text_of(kRoot / "tests/examples/ten_lines.cc");
  example.erase(0, example.find("#include"));
  EXPECT_NE(text_of(kRoot / "README.md").find("```cpp\n" + example + "```"), std::string::npos)
      << "README.md shows another example than tests/examples/ten_lines.cc";
}

TEST(Documents, LinkOnlyToWhatIsThere) {
  std::vector<fs::path> documents;
  for (const auto& entry : fs::directory_iterator(kRoot)) {
    if (entry.path().extension() == ".md") documents.push_back(entry.path());
    const fs::path readme = entry.path() / "README.md";
    if (entry.is_directory() && fs::exists(readme)) documents.push_back(readme);
  }
  ASSERT_GT(documents.size(), 7U);
  const std::regex link(R"(\]\(([^)#]+)(#[^)]*)?\))");
  for (const fs::path& document : documents) {
    const std::string text = text_of(document);
    for (std::sregex_iterator at(text.begin(), text.end(), link), end; at != end; ++at) {
      const std::string target = (*at)[1];
      if (target.starts_with("http")) continue;
      EXPECT_TRUE(fs::exists(document.parent_path() / target))
          << document << " links to " << target;
    }
  }
}

}  // namespace
}  // namespace grapevine
