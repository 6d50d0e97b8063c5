#include "storage/model/bytes.h"

namespace grapevine::model {

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void put_fixed32(std::string& out, std::uint32_t value) {
  char bytes[4];
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  out.append(bytes, sizeof bytes);
}

void put_fixed64(std::string& out, std::uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  out.append(bytes, sizeof bytes);
}

void put_bytes(std::string& out, std::string_view bytes) {
  put_varint(out, bytes.size());
  out.append(bytes);
}

void put_ordered64(std::string& out, std::uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (56 - 8 * i));
  out.append(bytes, sizeof bytes);
}

std::uint64_t ordered64(std::string_view eight_bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    value = (value << 8) | static_cast<std::uint8_t>(eight_bytes[i]);
  }
  return value;
}

std::uint64_t ByteReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t next = byte();
    if (!ok_) return 0;
    if (shift == 63 && next > 1) break;  // beyond 64 bits
    value |= static_cast<std::uint64_t>(next & 0x7F) << shift;
    if (next < 0x80) {
      if (next == 0 && shift > 0)
        break;  // longer than needed: equal values would have unequal bytes
      return value;
    }
  }
  fail();
  return 0;
}

std::uint32_t ByteReader::fixed32() {
  return static_cast<std::uint32_t>(fixed(4));
}

std::uint64_t ByteReader::fixed64() {
  return fixed(8);
}

std::uint64_t ByteReader::fixed(std::size_t byte_count) {
  const std::string_view taken = raw(byte_count);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(taken[i])) << (8 * i);
  }
  return value;
}

std::uint8_t ByteReader::byte() {
  if (rest_.empty()) {
    fail();
    return 0;
  }
  const auto value = static_cast<std::uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  return value;
}

std::string_view ByteReader::bytes() {
  return raw(varint());
}

std::string_view ByteReader::raw(std::uint64_t byte_count) {
  if (byte_count > rest_.size()) {
    fail();
    return {};
  }
  const std::string_view taken = rest_.substr(0, byte_count);
  rest_.remove_prefix(byte_count);
  return taken;
}

}  // namespace grapevine::model
