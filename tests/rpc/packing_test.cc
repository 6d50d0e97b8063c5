// Goal: what is packed unpacks to the same words, for any messages in any order, and a frame that comes again
// costs next to nothing. Method: laws over random messages; one end packs, the other unpacks.
#include "rpc/packing.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace grapevine::rpc {
namespace {

using Words = std::vector<std::uint64_t>;

kj::ArrayPtr<const capnp::word> segment(const Words& words) {
  return kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size());
}

std::string pack(Packing& packing, const std::vector<Words>& segments) {
  std::vector<kj::ArrayPtr<const capnp::word>> parts;
  for (const Words& words : segments) parts.push_back(segment(words));
  kj::VectorOutputStream out;
  packing.pack(kj::arrayPtr(parts.data(), parts.size()), out);
  return {reinterpret_cast<const char*>(out.getArray().begin()), out.getArray().size()};
}

absl::StatusOr<Words> unpack(Packing& packing, const std::string& bytes) {
  const auto* const at = reinterpret_cast<const kj::byte*>(bytes.data());
  const Packing::Header header = Packing::read_header(at);
  EXPECT_TRUE(Packing::is_packed(at));
  EXPECT_EQ(header.bytes + Packing::kHeaderBytes, bytes.size());
  auto words = packing.unpack(header.kind, kj::arrayPtr(at + Packing::kHeaderBytes, header.bytes));
  if (!words.ok()) return words.status();
  Words copy(words->size());
  std::memcpy(copy.data(), words->asBytes().begin(), copy.size() * sizeof(std::uint64_t));
  return copy;
}

// As on an unpacked stream.
Words with_table(const std::vector<Words>& segments) {
  std::vector<std::uint32_t> table{static_cast<std::uint32_t>(segments.size() - 1)};
  for (const Words& words : segments) table.push_back(static_cast<std::uint32_t>(words.size()));
  if (table.size() % 2 != 0) table.push_back(0);
  Words all(table.size() / 2);
  std::memcpy(all.data(), table.data(), table.size() * sizeof table[0]);
  for (const Words& words : segments) all.insert(all.end(), words.begin(), words.end());
  return all;
}

RC_GTEST_PROP(Packing, WhatIsPackedUnpacksToTheSame, ()) {
  Packing writes;
  Packing reads;
  const auto word =
      rc::gen::oneOf(rc::gen::just(std::uint64_t{0}), rc::gen::inRange<std::uint64_t>(0, 9),
                     rc::gen::arbitrary<std::uint64_t>());
  const auto words = rc::gen::resize(60, rc::gen::container<Words>(word));
  for (int i = 0; i < 6; ++i) {
    const auto segments =
        *rc::gen::resize(7, rc::gen::nonEmpty(rc::gen::container<std::vector<Words>>(words)));
    const auto unpacked = unpack(reads, pack(writes, segments));
    RC_ASSERT(unpacked.ok());
    RC_ASSERT(*unpacked == with_table(segments));
  }
}

TEST(Packing, TheLargestThatMayBePackedIsHoweverRandom) {
  Packing writes;
  Packing reads;
  const std::vector<Words> segments{Words(Packing::kUnpackedMax / 8 - 1, 0x123456789abcdef1)};
  const auto unpacked = unpack(reads, pack(writes, segments));
  ASSERT_TRUE(unpacked.ok());
  EXPECT_EQ(*unpacked, with_table(segments));
}

TEST(Packing, AFrameThatComesAgainCostsWhatIsNewInIt) {
  Packing writes;
  Words call(18, 0x123456789abcdef1);
  call[1] = 2;
  Words answer(9, 0xfedcba9876543210);
  answer[1] = 3;
  EXPECT_GT(pack(writes, {call}).size(), 8 * 16u);
  EXPECT_GT(pack(writes, {answer}).size(), 8 * 7u);
  call[2] ^= 1;
  answer[2] ^= 1;
  EXPECT_LE(pack(writes, {call}).size(), 12u);
  EXPECT_LE(pack(writes, {answer}).size(), 12u);
}

}  // namespace
}  // namespace grapevine::rpc
