#include "storage/model/digest.h"

#include <limits>

#include <xxhash.h>

#include "storage/model/bytes.h"

namespace grapevine::model {

DigestSum& DigestSum::operator+=(const DigestSum& other) {
  const std::uint64_t added = other.low;  // `other` may be this sum itself
  low += added;
  high += other.high + (low < added ? 1 : 0);
  return *this;
}

DigestSum& DigestSum::operator-=(const DigestSum& other) {
  high -= other.high + (low < other.low ? 1 : 0);
  low -= other.low;
  return *this;
}

DigestSum Digester::digest(std::string_view key, const Entry& entry) const {
  DigestSum sum;
  if (entry.versions.empty()) return sum;
  const XXH128_hash_t of_key = XXH3_128bits_withSeed(key.data(), key.size(), seed_);
  for (const Version& version : entry.versions) {
    const std::uint64_t words[] = {of_key.low64, of_key.high64, version.dot.actor.value,
                                   version.dot.counter, version.checksum};
    const XXH128_hash_t hash = XXH3_128bits_withSeed(words, sizeof words, seed_);
    sum += DigestSum{hash.low64, hash.high64};
  }
  return sum;
}

std::uint64_t Digester::vector_hash(std::string_view key, const Entry& entry) const {
  if (entry.quiet()) return 0;
  std::string bytes;
  put_bytes(bytes, key);
  entry.vector.encode(bytes);
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed_);
}

std::uint64_t Digester::key_hash(std::string_view key) const {
  return XXH3_64bits_withSeed(key.data(), key.size(), seed_);
}

DigestShare& DigestShare::operator+=(const DigestShare& other) {
  sum += other.sum;
  keys += other.keys;
  unquiet += other.unquiet;
  vectors += other.vectors;
  return *this;
}

DigestShare& DigestShare::operator-=(const DigestShare& other) {
  sum -= other.sum;
  keys -= other.keys;
  unquiet -= other.unquiet;
  vectors -= other.vectors;
  return *this;
}

void DigestShare::encode(std::string& out) const {
  put_fixed64(out, sum.low);
  put_fixed64(out, sum.high);
  put_varint(out, keys);
  put_varint(out, unquiet);
  if (unquiet > 0) put_fixed64(out, vectors);
}

DigestShare DigestShare::decode(ByteReader& in) {
  DigestShare share;
  share.sum.low = in.fixed64();
  share.sum.high = in.fixed64();
  const std::uint64_t keys = in.varint();
  const std::uint64_t unquiet = in.varint();
  if (keys > std::numeric_limits<std::uint32_t>::max() || unquiet > keys) in.fail();
  if (!in.ok()) return {};
  share.keys = static_cast<std::uint32_t>(keys);
  share.unquiet = static_cast<std::uint32_t>(unquiet);
  if (unquiet > 0) share.vectors = in.fixed64();
  return share;
}

DigestShare share_of(const Digester& digester, std::string_view key, const Entry& stored) {
  if (stored.void_of_all()) return {};
  return {digester.digest(key, stored), 1, stored.quiet() ? 0U : 1U,
          digester.vector_hash(key, stored)};
}

}  // namespace grapevine::model
