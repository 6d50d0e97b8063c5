#include "tests/storage/rocksdb_chance.h"

// As RocksDB's util/random.h has it: one number of 32 bits, from 1 to 2^31 - 2.
namespace rocksdb {
class Random {
 public:
  static Random* GetTLSInstance();
  std::uint32_t seed = 1;
};

namespace {
Random& the_generator() {
  static Random generator;
  return generator;
}
}  // namespace

Random* Random::GetTLSInstance() {
  return &the_generator();
}
}  // namespace rocksdb

namespace grapevine::storage {

void seed_rocksdb(std::uint32_t seed) {
  constexpr std::uint32_t kMask = 0x7fffffff;
  const std::uint32_t masked = seed & kMask;
  rocksdb::Random::GetTLSInstance()->seed = masked == 0 || masked == kMask ? 1 : masked;
}

}  // namespace grapevine::storage
