#include "rpc/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "storage/base/check.h"

namespace grapevine::rpc {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kPrefixBytes = 18;
constexpr std::size_t kHeaderBytes = 26;
constexpr std::size_t kTagBytes = 16;
static_assert(kHeaderBytes + kTagBytes == Seal::kOverheadBytes);

// 96 bits: the packet's number, and zeros.
std::array<std::uint8_t, 12> nonce_of(std::string_view header) {
  std::array<std::uint8_t, 12> nonce{};
  for (std::size_t i = 0; i < 8; ++i)
    nonce[i] = static_cast<std::uint8_t>(header[kPrefixBytes + i]);
  return nonce;
}

const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}
std::uint8_t* bytes_of(std::string& text) {
  return reinterpret_cast<std::uint8_t*>(text.data());
}

// 32 bytes that only who has the secret can make.
std::array<std::uint8_t, 32> mac(const ClusterKey& key, std::string_view text) {
  std::array<std::uint8_t, 32> made{};
  unsigned length = 0;
  const std::uint8_t* const done =
      HMAC(EVP_sha256(), key.secret.data(), static_cast<int>(key.secret.size()), bytes_of(text),
           text.size(), made.data(), &length);
  GRAPEVINE_CHECK(done != nullptr && length == made.size(), "HMAC-SHA256 gives 32 bytes");
  return made;
}

absl::Status not_ours(const char* what) {
  return absl::InvalidArgumentError(std::string("packet refused: ") + what);
}

}  // namespace

// ---- the cipher ----

struct Seal::Cipher {
  // What OpenSSL refuses here is a fault of ours, but for a tag that does not fit.
  static void must(int result) { GRAPEVINE_CHECK(result == 1, "OpenSSL takes what it is given"); }

  void authenticate(std::string_view cluster, std::string_view header) {
    int length = 0;
    must(EVP_CipherUpdate(context.get(), nullptr, &length, bytes_of(header),
                          static_cast<int>(header.size())));
    if (cluster.empty()) return;
    must(EVP_CipherUpdate(context.get(), nullptr, &length, bytes_of(cluster),
                          static_cast<int>(cluster.size())));
  }

  void begin(const Key& key, std::string_view header, std::string_view cluster, bool encrypt) {
    must(EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                           nonce_of(header).data(), encrypt ? 1 : 0));
    authenticate(cluster, header);
  }

  void transform(std::string_view in, std::uint8_t* out) {
    int length = 0;
    if (!in.empty()) {
      must(
          EVP_CipherUpdate(context.get(), out, &length, bytes_of(in), static_cast<int>(in.size())));
    }
  }

  struct Free {
    void operator()(EVP_CIPHER_CTX* freed) const { EVP_CIPHER_CTX_free(freed); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> context{EVP_CIPHER_CTX_new()};
};

Seal::Seal(std::string cluster, const std::vector<ClusterKey>& keys, const Salt& salt)
    : cluster_(std::move(cluster)), cipher_(std::make_unique<Cipher>()) {
  for (const ClusterKey& key : keys) keys_.emplace(key.id, key);
  prefix_.push_back(kFormat);
  prefix_.push_back(static_cast<char>(keys.front().id));
  prefix_.append(salt.begin(), salt.end());
  own_key_ = derive(keys.front(), std::string_view(prefix_).substr(2));
}

Seal::Seal(Seal&&) noexcept = default;
Seal::~Seal() = default;

absl::StatusOr<Seal> Seal::create(std::string cluster, const std::vector<ClusterKey>& keys,
                                  const Salt& salt) {
  if (keys.empty()) return absl::InvalidArgumentError("no cluster key was given");
  Seal seal(std::move(cluster), keys, salt);
  if (seal.keys_.size() != keys.size()) {
    return absl::InvalidArgumentError("two cluster keys have one id; number them apart");
  }
  return seal;
}

Seal::Key Seal::derive(const ClusterKey& key, std::string_view salt) const {
  std::string context = "grapevine packet";
  context.push_back(static_cast<char>(key.id));
  context.append(salt);
  return mac(key, context);
}

std::string Seal::seal(std::string_view packet) {
  std::string out = prefix_;
  ++sealed_;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(sealed_ >> (8 * i)));
  out.resize(kHeaderBytes + packet.size() + kTagBytes);
  cipher_->begin(own_key_, std::string_view(out).substr(0, kHeaderBytes), cluster_, true);
  cipher_->transform(packet, bytes_of(out) + kHeaderBytes);
  int length = 0;
  std::uint8_t* const end = bytes_of(out) + kHeaderBytes + packet.size();
  Cipher::must(EVP_CipherFinal_ex(cipher_->context.get(), end, &length));
  Cipher::must(EVP_CIPHER_CTX_ctrl(cipher_->context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, end));
  return out;
}

absl::StatusOr<std::string> Seal::open(std::string_view sealed) {
  if (sealed.size() < kOverheadBytes) return not_ours("too short to be sealed");
  if (sealed[0] != kFormat) return not_ours("not sealed, or in another format");
  const auto key = keys_.find(static_cast<std::uint8_t>(sealed[1]));
  if (key == keys_.end()) return not_ours("sealed with a key that this node does not have");
  const std::string_view header = sealed.substr(0, kHeaderBytes);
  const std::string_view prefix = header.substr(0, kPrefixBytes);
  const auto known = senders_.find(prefix);
  const Key derived =
      known != senders_.end() ? known->second : derive(key->second, prefix.substr(2));

  const std::string_view encrypted = sealed.substr(kHeaderBytes, sealed.size() - kOverheadBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  std::string packet(encrypted.size(), '\0');
  cipher_->begin(derived, header, cluster_, false);
  cipher_->transform(encrypted, bytes_of(packet));
  Cipher::must(
      EVP_CIPHER_CTX_ctrl(cipher_->context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()));
  int length = 0;
  std::array<std::uint8_t, 16> rest{};
  if (EVP_CipherFinal_ex(cipher_->context.get(), rest.data(), &length) != 1) {
    return not_ours("changed on its way, of another cluster or under another key");
  }
  // Only who has the key gets a place here.
  if (known == senders_.end()) {
    if (senders_.size() >= kSendersMax) senders_.clear();
    senders_.emplace(prefix, derived);
  }
  return packet;
}

// ---- keys ----

absl::StatusOr<std::vector<ClusterKey>> parse_cluster_keys(std::string_view text) {
  std::vector<ClusterKey> keys;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    auto key = parse_cluster_key(0, line);
    const std::string where = "line " + std::to_string(number) + ": ";
    if (!key.ok()) {
      return absl::InvalidArgumentError(where + std::string(text_of(key.status())));
    }
    key->id = static_cast<std::uint8_t>(1 + mac(*key, "grapevine key id")[0] % 255);
    for (const ClusterKey& other : keys) {
      if (other.id != key->id) continue;
      return absl::InvalidArgumentError(where +
                                        (other.secret == key->secret
                                             ? "this key is there already; take one of the two out"
                                             : "this key cannot stand beside an earlier one; make "
                                               "another with: openssl rand -hex 32"));
    }
    keys.push_back(*key);
  }
  if (keys.empty()) {
    return absl::InvalidArgumentError(
        "no key in it; make one with: openssl rand -hex 32, one key a line");
  }
  return keys;
}

ClusterKey key_without_secret(std::string_view cluster) {
  ClusterKey key;
  key.secret = mac(key, "grapevine cluster without a key " + std::string(cluster));
  return key;
}

std::uint64_t print_of(const ClusterKey& key) {
  const auto made = mac(key, "grapevine key print");
  std::uint64_t print = 0;
  for (std::size_t i = 0; i < sizeof print; ++i) print = print << 8 | made[i];
  return print;
}

absl::StatusOr<ClusterKey> parse_cluster_key(std::uint8_t id, std::string_view hex) {
  ClusterKey key{id, {}};
  const auto malformed = absl::InvalidArgumentError(
      "a cluster key is 64 hexadecimal digits; make one with: openssl rand -hex 32");
  if (hex.size() != 2 * ClusterKey::kBytes) return malformed;
  for (std::size_t i = 0; i < ClusterKey::kBytes; ++i) {
    const char* const digits = hex.data() + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, key.secret[i], 16);
    if (error != std::errc() || end != digits + 2) return malformed;
  }
  return key;
}

Seal::Salt random_salt() {
  Seal::Salt salt{};
  GRAPEVINE_CHECK(RAND_bytes(salt.data(), static_cast<int>(salt.size())) == 1,
                  "the system gives random bytes");
  return salt;
}

}  // namespace grapevine::rpc
