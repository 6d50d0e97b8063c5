// Reading and writing the compact formats of storage/: little-endian integers, varints,
// length-prefixed bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace grapevine::model {

// A varint is LEB128: 7 bits a byte, lowest first; 1 to 10 bytes.
void put_varint(std::string& out, std::uint64_t value);
void put_fixed32(std::string& out, std::uint32_t value);
void put_fixed64(std::string& out, std::uint64_t value);
void put_bytes(std::string& out, std::string_view bytes);  // varint length, then the bytes
// Big-endian, so that byte order is numeric order: for keys.
void put_ordered64(std::string& out, std::uint64_t value);
std::uint64_t ordered64(std::string_view eight_bytes);  // REQUIRES: at least 8 bytes

// Reads hostile bytes. After the first read beyond the end or malformed varint, ok() is false for
// good, and every further read returns zero or empty. Value; holds a view of the bytes, which must
// outlive it.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t varint();  // in its shortest form only
  std::uint32_t fixed32();
  std::uint64_t fixed64();
  std::uint8_t byte();
  std::string_view bytes();                        // varint length, then the bytes
  std::string_view raw(std::uint64_t byte_count);  // exactly so many bytes

  bool ok() const { return ok_; }
  std::size_t left() const { return rest_.size(); }
  // True when everything was read, and nothing went wrong.
  bool done() const { return ok_ && rest_.empty(); }
  // What was read makes no sense: ok() is false from now on.
  void fail() {
    ok_ = false;
    rest_ = {};
  }

 private:
  std::uint64_t fixed(std::size_t byte_count);

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace grapevine::model
