// The file LOG of a data directory, where RocksDB tells what it does.
#pragma once

#include <memory>
#include <string>

namespace rocksdb {
class Env;
class Logger;
}  // namespace rocksdb

namespace grapevine::storage {

// RocksDB's own logger must not be used: once the disk was full under it, Debian's build aborts at the
// next line. This one drops what cannot be written and goes on. The LOG of the life before becomes
// LOG.old. Any thread.
std::shared_ptr<rocksdb::Logger> open_rocksdb_log(rocksdb::Env* env, const std::string& directory);

// Drops everything: for reading a directory without leaving a trace in it.
std::shared_ptr<rocksdb::Logger> no_rocksdb_log();

}  // namespace grapevine::storage
