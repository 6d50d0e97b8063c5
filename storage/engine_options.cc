// What the database and its column families are opened with.
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include "storage/engine_rocksdb.h"
#include "storage/table_end.h"

namespace grapevine::storage {
namespace {

// When flushes or compactions lag, RocksDB first slows writers down and later stops them. We wait
// for neither (Stall::kRefuse), so there must be no slowing down: a write that is refused for it is
// charged as if it had slept, and trying again every few ms would be refused for ever. Stopping
// alone is left, later than RocksDB's own limits slow down: memtables that wait for their flush hold
// at most as many bytes again as three full ones (from a fourth on RocksDB would slow down); 36
// files on level 0 cost a read of an absent key 36 filters.
void refuse_rather_than_slow_down(rocksdb::ColumnFamilyOptions& family) {
  family.max_write_buffer_number = 3;
  family.level0_file_num_compaction_trigger = 4;
  family.level0_stop_writes_trigger = 36;
  family.level0_slowdown_writes_trigger = family.level0_stop_writes_trigger;
  family.soft_pending_compaction_bytes_limit = family.hard_pending_compaction_bytes_limit;
}

rocksdb::BlockBasedTableOptions table_options() {
  rocksdb::BlockBasedTableOptions table;
  table.format_version = kTableFormatVersion;
  table.checksum = rocksdb::kXXH3;
  return table;
}

// The families beside the data are small.
rocksdb::ColumnFamilyOptions small_options() {
  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options()));
  family.write_buffer_size = std::size_t{4} << 20;
  refuse_rather_than_slow_down(family);
  return family;
}

}  // namespace

rocksdb::DBOptions database_options(const StoreOptions& options) {
  rocksdb::DBOptions db_options;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  db_options.max_background_jobs = 2;
  db_options.bytes_per_sync = std::uint64_t{1} << 20;
  // Lets a backup notice that a file is not any more what was written.
  db_options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  if (options.environment != nullptr) {
    db_options.env = options.environment->env;
    if (options.environment->tune) options.environment->tune(db_options);
  }
  return db_options;
}

rocksdb::ColumnFamilyOptions data_options(const StoreOptions& options,
                                          std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::BlockBasedTableOptions table = table_options();
  table.block_cache = std::move(cache);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // What was just written is likely to be read; else each flush would make its keys cold.
  table.prepopulate_block_cache =
      rocksdb::BlockBasedTableOptions::PrepopulateBlockCache::kFlushOnly;
  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.write_buffer_size = options.memtable_bytes;
  refuse_rather_than_slow_down(family);
  // Every write reads its key first; a filter tells new keys without a search.
  family.memtable_whole_key_filtering = true;
  family.memtable_prefix_bloom_size_ratio = 0.05;
  family.level_compaction_dynamic_level_bytes = true;
  family.compression = rocksdb::kLZ4Compression;
  return family;
}

// Values go to blob files: compactions move their addresses only.
rocksdb::ColumnFamilyOptions values_options(const StoreOptions& options,
                                            std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::ColumnFamilyOptions family = data_options(options, cache);
  family.blob_cache = std::move(cache);
  family.prepopulate_blob_cache = rocksdb::PrepopulateBlobCache::kFlushOnly;
  family.memtable_whole_key_filtering = false;
  family.memtable_prefix_bloom_size_ratio = 0;
  family.enable_blob_files = true;
  family.blob_compression_type = rocksdb::kLZ4Compression;
  family.enable_blob_garbage_collection = true;
  return family;
}

std::string of_generation(const std::string& family, std::uint64_t generation) {
  return generation == 0 ? family : fmt::format("{}.{}", family, generation);
}

rocksdb::ColumnFamilyOptions options_of_family(const std::string& name, const StoreOptions& options,
                                               const std::shared_ptr<rocksdb::Cache>& cache) {
  if (name.starts_with(kDataFamily)) return data_options(options, cache);
  if (name.starts_with(kValuesFamily)) return values_options(options, cache);
  return small_options();
}

}  // namespace grapevine::storage
