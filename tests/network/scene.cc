#include "tests/network/scene.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "storage/base/status.h"

namespace grapevine::network_test {
namespace {

using std::chrono::seconds;

constexpr seconds kPatience{60};

// Both sorted by key, a line each; at most so many, for people.
std::string difference(const Data& expected, const Data& found) {
  std::string text;
  std::size_t count = 0;
  const auto say = [&](const std::string& key, const char* what,
                       const std::set<std::string>& values) {
    if (++count > 10) return;
    text += fmt::format("  {} {} {:.200}\n", key, what, fmt::format("{}", fmt::join(values, ", ")));
  };
  for (const auto& [key, values] : expected) {
    const auto at = found.find(key);
    if (at == found.end() || at->second != values) say(key, "should hold", values);
    if (at != found.end() && at->second != values) say(key, "holds", at->second);
  }
  for (const auto& [key, values] : found) {
    if (!expected.contains(key)) say(key, "should be gone, but holds", values);
  }
  return fmt::format("{} lines of difference:\n{}", count, text);
}

template <typename Make>
std::vector<OperationResult> execute(Client& client, std::size_t first, std::size_t last,
                                     const Make& make) {
  std::vector<Operation> operations;
  for (std::size_t i = first; i < last; ++i) operations.push_back(make(key_of(i)));
  return client.execute(std::move(operations));
}

}  // namespace

std::string key_of(std::size_t i) {
  return fmt::format("key-{:05}", i);
}

void expect(Data& data, std::size_t first, std::size_t last, const std::set<std::string>& values) {
  for (std::size_t i = first; i < last; ++i) {
    if (values.empty()) {
      data.erase(key_of(i));
    } else {
      data[key_of(i)] = values;
    }
  }
}

void Outcomes::put(Client& client, std::size_t first, std::size_t last, const std::string& value) {
  const auto results = execute(client, first, last, [&](const std::string& key) {
    return Put{key, value, Consistency::kOne};
  });
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::string key = key_of(first + i);
    if (results[i].ok()) {
      must_[key] = {value};
    } else if (is_outcome_unknown(results[i].status())) {
      may_.insert(key);
    } else {
      EXPECT_TRUE(absl::IsUnavailable(results[i].status()) ||
                  absl::IsResourceExhausted(results[i].status()))
          << results[i].status();
      must_not_.insert(key);
    }
  }
}

void Outcomes::expect_in(const Data& data) const {
  for (const auto& [key, values] : must_) {
    const auto found = data.find(key);
    ASSERT_NE(found, data.end()) << key << " was acknowledged and is lost";
    EXPECT_EQ(found->second, values) << key;
  }
  for (const std::string& key : must_not_) {
    EXPECT_FALSE(data.contains(key)) << key << " is there, though nothing was written";
  }
}

void NetworkTest::SetUp() {
  if (const std::string lacks = Network::missing(); !lacks.empty()) GTEST_SKIP() << lacks;
  network_ = std::make_unique<Network>(kNodes);
}

void NetworkTest::form(const std::string& preset, std::vector<std::string> flags) {
  flags.insert(flags.end(), {"--insecure", "--network", preset});
  cluster_ = std::make_unique<cluster_test::Cluster>(network_->places(), std::move(flags));
  cluster_->start_all();
}

void NetworkTest::put(std::size_t node, std::size_t first, std::size_t last,
                      const std::string& value) {
  Outcomes outcomes;
  outcomes.put(*cluster_->client_of(node), first, last, value);
  EXPECT_EQ(outcomes.acknowledged(), last - first)
      << value << " at node " << node + 1 << ": " << outcomes.unclear() << " unclear, "
      << outcomes.refused() << " refused";
}

void NetworkTest::remove(std::size_t node, std::size_t first, std::size_t last) {
  const auto results = execute(*cluster_->client_of(node), first, last, [](const std::string& key) {
    return Remove{key, Consistency::kOne};
  });
  for (const auto& result : results) EXPECT_TRUE(result.ok()) << result.status();
}

Data NetworkTest::exported(std::size_t node) const {
  Data data;
  std::istringstream lines(cluster_->exported(node));
  for (std::string line; std::getline(lines, line);) {
    const auto object = nlohmann::json::parse(line);
    std::set<std::string>& values = data[object.at("key")];
    if (object.contains("value")) values.insert(object.at("value"));
    if (!object.contains("siblings")) continue;
    for (const auto& sibling : object.at("siblings")) values.insert(sibling.at("value"));
  }
  return data;
}

void NetworkTest::await_data(std::size_t node, const Data& data) const {
  Data found;
  await([&] { return (found = exported(node)) == data; },
        fmt::format("node {} holds what it should", node + 1));
  if (HasFailure()) ADD_FAILURE() << difference(data, found);
}

Data NetworkTest::agreed() const {
  cluster_->wait_until_equal(kPatience);
  const Data first = exported(0);
  for (std::size_t node = 1; node < kNodes; ++node) {
    const Data other = exported(node);
    EXPECT_TRUE(other == first) << "node " << node + 1
                                << " against node 1: " << difference(first, other);
  }
  return first;
}

void NetworkTest::expect_whole(const Data& data) const {
  const Data found = agreed();
  EXPECT_TRUE(found == data) << difference(data, found);
}

void NetworkTest::await_seen(const Network::Side& by, const Network::Side& nodes, bool up) const {
  for (const std::size_t watcher : by) {
    for (const std::size_t node : nodes) {
      if (node != watcher) cluster_->wait_until_seen(watcher, node, up);
    }
  }
}

std::size_t NetworkTest::verdicts() const {
  std::size_t count = 0;
  for (std::size_t node = 0; node < kNodes; ++node) {
    for (const std::string& line : cluster_->process(node).lines()) {
      count += line.find(") does not answer") != std::string::npos ? 1 : 0;
    }
  }
  return count;
}

std::uint64_t NetworkTest::counter(std::size_t node, std::string_view name) const {
  const cluster_test::Place place = network_->places()[node];
  const std::string get = fmt::format(
      "exec 3<> /dev/tcp/{}/4742\n"
      "printf 'GET /status HTTP/1.1\\r\\nHost: node\\r\\n\\r\\n' >&3\n"
      "while read -r name value <&3 && [[ $name != $'\\r' ]]; do\n"
      "  [[ $name == Content-Length: ]] && length=${{value%$'\\r'}}\n"
      "done\n"
      "head -c $length <&3",
      place.host);
  const auto answer = cluster_test::run({"/bin/bash", "-c", get}, {}, seconds(10), place.network);
  const std::size_t begin = answer.out.find('{');
  if (begin == std::string::npos) {
    ADD_FAILURE() << "no status of node " << node + 1 << ": " << answer.out << answer.err;
    return 0;
  }
  const std::size_t end = answer.out.rfind('}');
  return nlohmann::json::parse(answer.out.substr(begin, end + 1 - begin))
      .at("counters")
      .at(std::string(name));
}

void NetworkTest::await(const std::function<bool()>& condition, std::string_view what) const {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() < end && !HasFailure()) continue;
    ADD_FAILURE() << "not within " << kPatience.count() << " s: " << what;
    return;
  }
}

}  // namespace grapevine::network_test
