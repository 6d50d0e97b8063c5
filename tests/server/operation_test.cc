// Goal: the answers to one call fit into a message, and none is lost but reads that can be made again.
#include "server/operation.h"

#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

namespace grapevine::server {
namespace {

ReadAnswer siblings_of(std::vector<std::size_t> sizes) {
  ReadAnswer answer;
  for (const std::size_t size : sizes) {
    model::Version version;
    version.value = std::string(size, 'v');
    answer.siblings.push_back(std::move(version));
  }
  return answer;
}

TEST(Answers, ReadsThatDoNotFitBesideOthersAreToBeMadeAgain) {
  std::vector<OperationAnswer> answers{siblings_of({4'000}), WriteAnswer{},
                                       siblings_of({3'000, 3'000}), siblings_of({500}),
                                       siblings_of({})};
  fit_answers(answers, 10'000);
  EXPECT_TRUE(std::holds_alternative<ReadAnswer>(answers[0]));
  EXPECT_TRUE(std::holds_alternative<WriteAnswer>(answers[1]));
  EXPECT_TRUE(absl::IsUnavailable(std::get<absl::Status>(answers[2])));
  EXPECT_TRUE(std::holds_alternative<ReadAnswer>(answers[3])) << "it fits all the same";
  EXPECT_TRUE(std::holds_alternative<ReadAnswer>(answers[4]));
}

TEST(Answers, AReadThatNeverFitsSaysSo) {
  std::vector<OperationAnswer> answers{siblings_of({6'000, 6'000}), siblings_of({6'000})};
  fit_answers(answers, 10'000);
  EXPECT_TRUE(absl::IsResourceExhausted(std::get<absl::Status>(answers[0])));
  EXPECT_TRUE(std::holds_alternative<ReadAnswer>(answers[1]));
}

TEST(Answers, ThatFitStayAsTheyAre) {
  std::vector<OperationAnswer> answers{siblings_of({4'000}), siblings_of({4'000}),
                                       absl::UnavailableError("too few owners")};
  fit_answers(answers, 10'000);
  EXPECT_TRUE(std::holds_alternative<ReadAnswer>(answers[0]));
  EXPECT_TRUE(std::holds_alternative<ReadAnswer>(answers[1]));
  EXPECT_EQ(std::get<absl::Status>(answers[2]).message(), "too few owners");
}

}  // namespace
}  // namespace grapevine::server
