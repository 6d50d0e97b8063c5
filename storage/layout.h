// The keys of the engine's column families. The whole layout stands in storage/README.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "storage/base/ids.h"
#include "storage/base/time.h"
#include "storage/model/bytes.h"
#include "storage/model/dot.h"
#include "storage/model/token.h"

namespace grapevine::storage {

inline constexpr std::uint32_t kFormatVersion = 1;

// What to do about a directory that is of no use any more.
inline constexpr const char* kRefill =
    "move it away and start with an empty one, the other replicas refill it";
// And about one that is damaged.
inline constexpr const char* kRefillOrSalvage =
    "move it away and start with an empty one, the other replicas refill it; or start once with "
    "--salvage, which keeps what can be read";

inline constexpr std::string_view kMetaIdentity = "identity";  // what the directory is
inline constexpr std::string_view kMetaLife = "life";          // whose last life it remembers
inline constexpr std::string_view kMetaFamilies = "families";  // which families hold the data
inline constexpr std::string_view kMetaTouched = "touched";    // means nothing, see Engine::resume
inline constexpr char kMetaClock = 'c';  // + partition, 8 bytes big-endian: checkpoint of its clock
inline constexpr char kMetaJournal = 'j';  // + slot, 8 bytes big-endian: journal record
inline constexpr char kMetaTree = 't';     // + partition, 8 bytes big-endian: at a clean stop
inline constexpr char kMetaSuspect = 's';  // + partition, 8 bytes big-endian: it has lost entries
inline constexpr char kMetaNote = 'n';     // + name: bytes that the node keeps for itself
inline constexpr char kMetaActor = 'a';    // + number, 8 bytes big-endian: the actor that has it

inline std::string meta_key(char kind, std::uint64_t number) {
  std::string key(1, kind);
  model::put_ordered64(key, number);
  return key;
}

// Data: token, then the user's key; so entries lie in token order, and in key order within a token.
inline std::string data_key(model::Token token, std::string_view key) {
  std::string out;
  out.reserve(8 + key.size());
  model::put_ordered64(out, token.value);
  out.append(key);
  return out;
}

// Values that stand apart: the entry's key, then the dot.
inline std::string value_key(model::Token token, std::string_view key, model::Dot dot) {
  std::string out = data_key(token, key);
  model::put_ordered64(out, dot.actor.value);
  model::put_ordered64(out, dot.counter);
  return out;
}

// Expiry: the time, then the entry's key; so what expires first lies first.
inline std::string expiry_key(WallTime expires, model::Token token, std::string_view key) {
  std::string out;
  model::put_ordered64(out, static_cast<std::uint64_t>(expires.unix_ms));
  return out + data_key(token, key);
}

struct DataKey {
  model::Token token;
  std::string_view key;
};
// nullopt for what data_key cannot have written.
inline std::optional<DataKey> parse_data_key(std::string_view bytes) {
  if (bytes.size() <= 8) return std::nullopt;
  return DataKey{{model::ordered64(bytes)}, bytes.substr(8)};
}

}  // namespace grapevine::storage
