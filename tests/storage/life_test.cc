// Goal: rule R7, case by case: an actor is kept exactly when nothing that it wrote can have been
// forgotten.
#include "storage/life.h"

#include <gtest/gtest.h>

#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

const Life kHere{"machine", "boot 1", "directory"};

Life other_boot() {
  return {kHere.machine, "boot 2", kHere.directory};
}

TEST(KeepsActor, AfterACleanStop) {
  EXPECT_TRUE(keeps_actor({kHere, true}, kHere));
}

TEST(KeepsActor, AfterACleanStopAndAReboot) {
  EXPECT_TRUE(keeps_actor({kHere, true}, other_boot()));
}

TEST(KeepsActor, AfterACrashOnTheSameBoot) {
  EXPECT_TRUE(keeps_actor({kHere, false}, kHere));
}

TEST(KeepsActor, NotAfterACrashAndAReboot) {
  EXPECT_FALSE(keeps_actor({kHere, false}, other_boot()));
}

TEST(KeepsActor, NotInACopiedOrMovedDirectory) {
  const Life copied{kHere.machine, kHere.boot, "another directory"};
  EXPECT_FALSE(keeps_actor({kHere, true}, copied));
  EXPECT_FALSE(keeps_actor({kHere, false}, copied));
}

TEST(KeepsActor, NotOnAnotherMachine) {
  const Life elsewhere{"another machine", kHere.boot, kHere.directory};
  EXPECT_FALSE(keeps_actor({kHere, true}, elsewhere));
  EXPECT_FALSE(keeps_actor({kHere, false}, elsewhere));
}

TEST(LifeRecord, SurvivesItsEncoding) {
  for (const bool clean : {false, true}) {
    const LifeRecord record{{"m", "", std::string(300, 'd')}, clean};
    const auto decoded = LifeRecord::decode(record.encode());
    ASSERT_TRUE(ok(decoded));
    EXPECT_EQ(decoded->life, record.life);
    EXPECT_EQ(decoded->stopped_cleanly, clean);
  }
}

TEST(LifeRecord, RefusesEveryPrefixAndAnythingAppended) {
  const std::string bytes = LifeRecord{kHere, true}.encode();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(LifeRecord::decode(bytes.substr(0, length)).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_FALSE(LifeRecord::decode(bytes + '\0').ok());
}

TEST(LifeRecord, OnlyTheByteOneMeansAStopThatWasClean) {
  std::string bytes = LifeRecord{kHere, true}.encode();
  bytes.back() = 2;
  const auto decoded = LifeRecord::decode(bytes);
  EXPECT_TRUE(!decoded.ok() || !decoded->stopped_cleanly);
}

}  // namespace
}  // namespace grapevine::storage
