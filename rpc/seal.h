// Seals packets with the cluster's key, so that only nodes that have it can read or make them.
//
//   bytes   what
//   1       format (1)
//   1       key id: which of the cluster's keys
//   16      salt: of the sender's life, random
//   8       number of the packet in that life, from 1, little-endian
//   n       the packet, encrypted
//   16      tag
//
// The cipher is AES-256-GCM under a key made for one life of one sender: HMAC-SHA256 of the
// cluster's key over "grapevine packet", key id and salt. Its nonce is the packet's number. (GCM
// fails when a nonce is used twice under one key, and random ones are, by chance, after some 2^32
// packets of the whole cluster; counters under a key of their own never are.) Header and cluster
// name are authenticated with the packet, so one of another cluster is refused even under the same
// key.
//
// Keys are changed without a stop: give all nodes the new key beside the old one, then make it the
// first, then take the old one away.
//
// Not promised: that a packet is not an old one sent again. (SWIM's news is ordered by incarnation,
// and an answer must fit a question.)
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"

namespace grapevine::rpc {

struct ClusterKey {
  static constexpr std::size_t kBytes = 32;

  std::uint8_t id = 0;
  std::array<std::uint8_t, kBytes> secret{};
};

// 64 hexadecimal digits, as `openssl rand -hex 32` writes them. InvalidArgument, without the text.
absl::StatusOr<ClusterKey> parse_cluster_key(std::uint8_t id, std::string_view hex);

// A file of keys: one a line, empty lines and lines that begin with # aside. The id of each is made
// from the key (1 to 255), so that it stays what it is wherever the line stands. InvalidArgument
// names the line.
absl::StatusOr<std::vector<ClusterKey>> parse_cluster_keys(std::string_view text);

// For a cluster that was given no key: made from its name, which is no secret. So packets of other
// clusters, and damaged ones, are refused all the same. Its id is 0.
ClusterKey key_without_secret(std::string_view cluster);

// Tells keys apart without showing them: two nodes compare these before they trust each other.
std::uint64_t print_of(const ClusterKey& key);

// Resource, deterministic for a salt. Owner and thread: one loop's.
// Bounds: remembers the derived keys of at most kSendersMax senders.
// Cost: 42 bytes a packet; about 1 µs to seal or open 100 bytes, and as much again for the first
// packet of a sender.
class Seal {
 public:
  using Salt = std::array<std::uint8_t, 16>;
  static constexpr std::size_t kOverheadBytes = 42;
  static constexpr std::size_t kSendersMax = 4'096;

  // The first key seals, all of them open. `salt`: from the system's source of secrets, of this
  // life alone (random_salt). InvalidArgument: no keys, or two of one id.
  static absl::StatusOr<Seal> create(std::string cluster, const std::vector<ClusterKey>& keys,
                                     const Salt& salt);
  Seal(Seal&&) noexcept;
  ~Seal();

  std::string seal(std::string_view packet);
  // InvalidArgument: not sealed with a key of this cluster; nothing of it may be used.
  absl::StatusOr<std::string> open(std::string_view sealed);

 private:
  struct Cipher;
  using Key = std::array<std::uint8_t, ClusterKey::kBytes>;

  Seal(std::string cluster, const std::vector<ClusterKey>& keys, const Salt& salt);
  Key derive(const ClusterKey& key, std::string_view salt) const;

  std::string cluster_;
  std::map<std::uint8_t, ClusterKey> keys_;
  std::string prefix_;  // of what is sealed: format, key id, salt
  Key own_key_{};
  std::uint64_t sealed_ = 0;
  std::map<std::string, Key, std::less<>> senders_;  // by format, key id and salt
  std::unique_ptr<Cipher> cipher_;
};

// From the system. Stops the process when it has none to give.
Seal::Salt random_salt();

}  // namespace grapevine::rpc
