// Whether a directory that is to be opened is a new one, though it holds no database.
#pragma once

#include <string>

#include "storage/base/status.h"

namespace rocksdb {
class Env;
}

namespace grapevine::storage {

// RocksDB finds a database by its file CURRENT, and takes a directory without one for new, whatever
// else is there. DataLoss where a database has been: its tables, logs or other files are left. OK
// where CURRENT is there, where nothing but foreign things is, and for what a first opening leaves
// that ended before it had made the database.
absl::Status check_not_lost(rocksdb::Env& env, const std::string& directory);

// Between these two a database is being made. The mark is a file, `creating`; without it (a full
// disk) an opening that ends in between is taken for damage.
void mark_creating(rocksdb::Env& env, const std::string& directory);
void unmark_creating(rocksdb::Env& env, const std::string& directory);

}  // namespace grapevine::storage
