// What is stored at one moment.
#pragma once

#include <memory>

#include "storage/model/actor_table.h"

namespace rocksdb {
class Snapshot;
}

namespace grapevine::storage {

// Value, cheap to make: entries can be read of it on any thread, whatever the loop writes meanwhile.
// Keeps superseded data on disk, and RocksDB may write tables anew when it goes: not for single keys.
// To be let go of before the store goes.
struct Moment {
  std::shared_ptr<const rocksdb::Snapshot> snapshot;
  model::ActorTable actors;  // that entries of the moment are written in
};

}  // namespace grapevine::storage
