// RocksDB's own chance, made part of the seed.
//
// RocksDB draws the heights of its memtables' skip lists from a generator that each thread seeds by
// its own address. They decide how full a memtable counts, hence when it is written out, hence what
// is in the cache: two runs of one seed would part there. So a program that links this file gives
// RocksDB another generator in place of that one (the library calls it through its symbol table).
#pragma once

#include <cstdint>

namespace grapevine::storage {

void seed_rocksdb(std::uint32_t seed);

}  // namespace grapevine::storage
