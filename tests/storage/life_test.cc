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

TEST(MemoryOf, IsWholeAfterACleanStopAndWhateverBoot) {
  EXPECT_EQ(memory_of(LifeRecord{kHere, true}, kHere), Memory::kWhole);
  EXPECT_EQ(memory_of(LifeRecord{kHere, true}, other_boot()), Memory::kWhole);
}

TEST(MemoryOf, IsWholeAfterACrashOnTheSameBoot) {
  EXPECT_EQ(memory_of(LifeRecord{kHere, false}, kHere), Memory::kWhole);
}

TEST(MemoryOf, HasLostItsSuffixAfterACrashAndAReboot) {
  EXPECT_EQ(memory_of(LifeRecord{kHere, false}, other_boot()), Memory::kSuffixLost);
}

TEST(MemoryOf, IsOfElsewhereInACopiedMovedOrRestoredDirectoryAndOnAnotherMachine) {
  const Life copied{kHere.machine, kHere.boot, "another directory"};
  const Life elsewhere{"another machine", kHere.boot, kHere.directory};
  for (const bool clean : {false, true}) {
    EXPECT_EQ(memory_of(LifeRecord{kHere, clean}, copied), Memory::kElsewhere);
    EXPECT_EQ(memory_of(LifeRecord{kHere, clean}, elsewhere), Memory::kElsewhere);
  }
  EXPECT_EQ(memory_of(std::nullopt, kHere), Memory::kElsewhere);
}

TEST(NextActor, IsTheSameTheNextOrOneBeyondAllThatAnotherLifeCanHaveTaken) {
  Random random(1);
  const ActorId last = ActorId::of(NodeId{7}, 5);
  EXPECT_EQ(*next_actor(last, Memory::kWhole, random), last);
  EXPECT_EQ(*next_actor(last, Memory::kSuffixLost, random), ActorId::of(NodeId{7}, 6));
  const ActorId once = *next_actor(last, Memory::kElsewhere, random);
  const ActorId again = *next_actor(last, Memory::kElsewhere, random);
  for (const ActorId jumped : {once, again}) {
    EXPECT_EQ(jumped.node(), NodeId{7});
    EXPECT_GE(jumped.epoch(), 5 + kEpochJump);
    EXPECT_LT(jumped.epoch(), 5 + 2 * kEpochJump);
  }
  EXPECT_NE(once, again) << "two restores of one backup";
}

TEST(NextActor, OfANodeWithoutEpochsIsAClearError) {
  Random random(1);
  const ActorId last = ActorId::of(NodeId{7}, ActorId::kEpochMax - 1);
  EXPECT_EQ(later_actor(last, 1)->epoch(), ActorId::kEpochMax);
  EXPECT_TRUE(absl::IsFailedPrecondition(later_actor(last, 2).status()));
  const absl::Status refused = next_actor(last, Memory::kElsewhere, random).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_NE(text_of(refused).find("00000000007"), std::string_view::npos) << refused;
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
