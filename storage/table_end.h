// Looks at the end of a table file before RocksDB does.
//
// RocksDB 7.8 reads the properties of a table before it looks at their checksum, and the footer has
// none: with some bits turned over there Debian's build ends in an assertion or an exception, so that
// a node could not start, salvage or not; another bit switches the checksums of all blocks off. So
// every table that is opened, whoever opens it, passes by here first: footer, index of the metadata
// and properties are what was written, or the opening fails with Corruption. The rest of a table has
// checksums that RocksDB minds. Costs one read of a few KiB a table and opening.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace rocksdb {
class Env;
}

namespace grapevine::storage {

// What all tables are written with, and what is looked for in them. (rocksdb::kXXH3)
inline constexpr std::uint32_t kTableFormatVersion = 5;
inline constexpr std::uint8_t kTableChecksum = 4;

// Whether footer, index of the metadata and properties of a table match their checksums, as far as
// they have any. `read` gives the bytes at an offset, or fewer where the file ends.
using ReadAt = std::function<std::string(std::uint64_t offset, std::size_t count)>;
bool is_table_end_whole(std::uint64_t file_bytes, const ReadAt& read);

// `below`, where tables can be opened for reading only if their ends are whole. `below` must outlive
// it, and it every database that is opened with it.
std::unique_ptr<rocksdb::Env> with_table_ends_checked(rocksdb::Env* below);

}  // namespace grapevine::storage
