// Goal: an error keeps its code and its text on the way through exceptions, and a foreign one
// becomes the right code. Method: exceptions as KJ, Cap'n Proto and Asio make them. The way over
// the wire is tested with connections.
#include "rpc/errors.h"

#include <gtest/gtest.h>

#include <asio/error.hpp>

namespace grapevine::rpc {
namespace {

using Type = kj::Exception::Type;

kj::Exception exception(Type type, const std::string& text) {
  return kj::Exception(type, "somewhere.c++", 12, kj::heapString(text.data(), text.size()));
}

TEST(Errors, EveryStatusSurvivesAnException) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code),
                              "key 'a: b' is over the limit; shorten it");
    EXPECT_EQ(to_status(to_exception(status)), status);
  }
}

TEST(Errors, StatusSurvivesWhatCapnProtoAddsOnTheWay) {
  const absl::Status status = outcome_unknown_error("1 of 2 owners answered");
  const std::string text = to_exception(status).getDescription().cStr();
  EXPECT_EQ(to_status(exception(Type::FAILED, "remote exception: remote exception: " + text)),
            status);
  EXPECT_EQ(
      to_status(exception(Type::FAILED, "remote exception: " + text + "\ncontext: call of put")),
      status);
}

TEST(Errors, ForeignExceptionsBecomeOneLineWithACode) {
  EXPECT_EQ(to_status(exception(Type::DISCONNECTED, "Peer disconnected.")),
            absl::UnavailableError("Peer disconnected."));
  EXPECT_EQ(to_status(exception(Type::OVERLOADED, "a\nb")), absl::ResourceExhaustedError("a b"));
  EXPECT_EQ(to_status(exception(Type::UNIMPLEMENTED, "no")), absl::UnimplementedError("no"));
  EXPECT_EQ(to_status(exception(Type::FAILED, "remote exception: why")),
            absl::InternalError("why"));
}

TEST(Errors, DamagedMarkIsOrdinaryText) {
  for (const std::string text :
       {"grapevine status ", "grapevine status 0: a", "grapevine status 17: a",
        "grapevine status 3", "grapevine status x: a"}) {
    EXPECT_EQ(to_status(exception(Type::FAILED, text)), absl::InternalError(text));
  }
}

TEST(Errors, LongTextsAreCut) {
  const absl::Status status = to_status(exception(Type::FAILED, std::string(100'000, 'x')));
  EXPECT_EQ(status.message().size(), kErrorTextBytesMax);
}

TEST(Errors, OnlyTheOtherEndRefuses) {
  const auto failed = [](int number) {
    return connection_lost("cannot connect to 10.0.0.1:4741",
                           std::error_code(number, asio::error::get_system_category()));
  };
  EXPECT_TRUE(is_refusal(failed(ECONNREFUSED)));
  EXPECT_TRUE(is_refusal(failed(ECONNRESET)));
  for (const int number : {EHOSTUNREACH, ENETUNREACH, EACCES, EPERM, ETIMEDOUT, EMFILE}) {
    EXPECT_FALSE(is_refusal(failed(number))) << number;
  }
  const std::string starting =
      to_exception(absl::UnavailableError("starting")).getDescription().cStr();
  EXPECT_TRUE(is_refusal(exception(Type::DISCONNECTED, "remote exception: " + starting)));
  EXPECT_FALSE(is_refusal(exception(Type::DISCONNECTED, starting)));
}

TEST(Errors, WhatIsNoStatusSaysNothingOfWhatWasDone) {
  EXPECT_TRUE(is_answer(to_exception(absl::UnavailableError("not enough owners"))));
  EXPECT_TRUE(is_answer(exception(Type::UNIMPLEMENTED, "method not implemented")));
  EXPECT_FALSE(is_answer(exception(Type::FAILED, "single-message size limit")));
  EXPECT_FALSE(is_answer(exception(Type::DISCONNECTED, "Peer disconnected.")));
}

TEST(Errors, OnlyTheTransportLosesConnections) {
  EXPECT_TRUE(is_connection_lost(connection_lost("gone")));
  EXPECT_TRUE(
      is_connection_lost(exception(Type::DISCONNECTED, "remote exception: Peer disconnected.")));
  EXPECT_FALSE(is_connection_lost(to_exception(absl::UnavailableError("not enough owners"))));
  EXPECT_FALSE(is_connection_lost(exception(Type::FAILED, "other")));
}

TEST(Errors, SystemErrorsNameTheActionAndTheReason) {
  EXPECT_EQ(to_status("cannot connect to a:1", asio::error::connection_refused),
            absl::UnavailableError("cannot connect to a:1: connection refused"));
  EXPECT_TRUE(absl::IsResourceExhausted(to_status("cannot accept", asio::error::no_descriptors)));
}

}  // namespace
}  // namespace grapevine::rpc
