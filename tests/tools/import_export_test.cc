// Goal: what was exported can be imported any number of times and is exported again as the same
// bytes; whatever goes wrong says how far it came. Method: the whole program against a node in this
// process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/limits.h"
#include "tests/tools/fake_node.h"
#include "tests/tools/program.h"
#include "tests/tools/scratch.h"
#include "tools/importer.h"

namespace grapevine::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class ImportExportTest : public testing::Test {
 protected:
  Ran import(const std::string& content, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"import", scratch_.file_with("in", content), "--endpoints",
                                       node_.endpoint()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ran(arguments);
  }
  Ran export_to(const std::string& name) {
    return ran({"export", scratch_.file(name), "--endpoints", node_.endpoint()});
  }

  const Scratch scratch_;
  FakeNode node_;
};

const std::string kThreeKeys =
    "{\"key\":\"b\",\"value\":\"2\"}\n"
    "\n"
    "{\"key\":\"c\",\"siblings\":[{\"value\":\"x\"},{\"value\":\"y\"}]}\r\n"
    "{\"key_base64\":\"/w==\",\"value\":\"\"}";

TEST_F(ImportExportTest, WritesEveryKeyAndSaysHowMany) {
  const Ran one = import(kThreeKeys);
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, StartsWith("imported 3 keys in "));
  EXPECT_THAT(node_.data(), ElementsAre(testing::Pair("b", ElementsAre("2")),
                                        testing::Pair("c", ElementsAre("x", "y")),
                                        testing::Pair("\xff", ElementsAre(""))));
}

TEST_F(ImportExportTest, ASecondImportChangesNothing) {
  import(kThreeKeys);
  const auto before = node_.data();
  EXPECT_EQ(import(kThreeKeys).code, 0);
  EXPECT_EQ(node_.data(), before);
}

TEST_F(ImportExportTest, ManyBatchesAreAllCounted) {
  std::string lines;
  const std::size_t keys = Importer::kBatchOperations * (Importer::kBatchesMax + 3) + 7;
  for (std::size_t i = 0; i < keys; ++i)
    lines += fmt::format("{{\"key\":\"{}\",\"value\":\"v\"}}\n", i);
  const Ran one = import(lines, {"--json"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, StartsWith(fmt::format("{{\"keys\":{},\"seconds\":", keys)));
  EXPECT_EQ(node_.data().size(), keys);
}

TEST_F(ImportExportTest, ABadLineIsNamedWithWhatWasWrittenBeforeIt) {
  const Ran one =
      import("{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\"}\n{\"key\":\"c\",\"value\":\"3\"}\n");
  EXPECT_EQ(one.code, 2);
  EXPECT_THAT(one.err,
              HasSubstr(scratch_.file("in") +
                        " line 2: no \"value\" and no \"siblings\"; 1 key before it written"));
  EXPECT_THAT(node_.data(), ElementsAre(testing::Pair("a", testing::_)));
}

TEST_F(ImportExportTest, AKeyThatNoClusterTakesIsABadLine) {
  const Ran one = import("{\"key\":\"\",\"value\":\"1\"}\n");
  EXPECT_EQ(one.code, 2);
  EXPECT_THAT(one.err, HasSubstr("line 1: the key has 0 bytes; a key has 1 to 32768"));
  EXPECT_EQ(Importer::check_limits({.key = std::string(kKeyBytesMax, 'k'), .values = {""}}),
            absl::OkStatus());
  EXPECT_FALSE(
      Importer::check_limits({.key = std::string(kKeyBytesMax + 1, 'k'), .values = {""}}).ok());
  EXPECT_FALSE(
      Importer::check_limits({.key = "k", .values = {"", std::string(kValueBytesMax + 1, 'v')}})
          .ok());
}

TEST_F(ImportExportTest, FailedWritesAreCountedAndTheFirstErrorIsShown) {
  node_.judge_by(
      [](const std::string& key) { return key == "b" ? wire::Code::REFUSED : wire::Code::OK; });
  const Ran one = import(kThreeKeys);
  EXPECT_EQ(one.code, 4);
  EXPECT_THAT(one.err, HasSubstr("2 keys written, 1 not; the first error: the node's own words"));
}

TEST_F(ImportExportTest, AnUnknownOutcomeDecidesTheExitCode) {
  node_.judge_by([](const std::string& key) {
    return key == "b"   ? wire::Code::REFUSED
           : key == "c" ? wire::Code::OUTCOME_UNKNOWN
                        : wire::Code::OK;
  });
  EXPECT_EQ(import(kThreeKeys, {"--timeout", "300ms"}).code, 5);
}

TEST_F(ImportExportTest, StopsWhenAWholeBatchFails) {
  node_.judge_by([](const std::string&) { return wire::Code::REFUSED; });
  std::string lines;
  for (std::size_t i = 0; i < 100 * Importer::kBatchOperations; ++i) {
    lines += fmt::format("{{\"key\":\"{}\",\"value\":\"v\"}}\n", i);
  }
  const Ran one = import(lines);
  EXPECT_EQ(one.code, 4);
  EXPECT_THAT(one.err, HasSubstr("0 keys written"));
  EXPECT_THAT(one.err, HasSubstr("stopped there"));
  EXPECT_LE(node_.writes(), 2 * Importer::kBatchesMax * Importer::kBatchOperations);
}

TEST_F(ImportExportTest, ExportsAllPagesSortedByKey) {
  import(
      "{\"key\":\"b\",\"value\":\"2\"}\n{\"key\":\"d\",\"value\":\"4\"}\n{\"key\":\"a\",\"value\":"
      "\"1\"}\n"
      "{\"key\":\"e\",\"value\":\"5\"}\n{\"key\":\"c\",\"siblings\":[{\"value\":\"y\"},{\"value\":"
      "\"x\"}]}\n");
  const Ran one = export_to("out");
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, StartsWith("exported 5 keys in "));
  const std::string sorted =
      "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n"
      "{\"key\":\"c\",\"siblings\":[{\"value\":\"x\"},{\"value\":\"y\"}]}\n"
      "{\"key\":\"d\",\"value\":\"4\"}\n{\"key\":\"e\",\"value\":\"5\"}\n";
  EXPECT_EQ(scratch_.content_of("out"), sorted);
  EXPECT_EQ(ran({"export", "-", "--endpoints", node_.endpoint()}).out, sorted);
}

TEST_F(ImportExportTest, WhatWasExportedComesOutOfAnotherNodeAsTheSameBytes) {
  import(kThreeKeys);
  export_to("first");
  const FakeNode other;
  EXPECT_EQ(ran({"import", scratch_.file("first"), "--endpoints", other.endpoint()}).code, 0);
  EXPECT_EQ(ran({"export", scratch_.file("second"), "--endpoints", other.endpoint()}).code, 0);
  EXPECT_EQ(scratch_.content_of("second"), scratch_.content_of("first"));
}

TEST_F(ImportExportTest, AnExportThatCannotReachTheClusterLeavesTheOldFile) {
  scratch_.file_with("out", "old");
  EXPECT_EQ(
      ran({"export", scratch_.file("out"), "--endpoints", "127.0.0.1:1", "--timeout", "200ms"})
          .code,
      3);
  EXPECT_EQ(scratch_.content_of("out"), "old");
}

}  // namespace
}  // namespace grapevine::tools
