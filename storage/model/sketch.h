// A sketch of a partition: from those of two replicas, where these differ can be read.
//
// The stored keys are seen as a sparse vector: its index, the slot, is the top 32 bits of a token;
// its value there comes from the digests of the slot's keys, and is 0 where there is none. A cell
// holds three sums over some of the slots: of the values, of value times slot, of value times a
// check of the slot; all in the field of integers modulo 2^32 - 5. Sums are linear: the cells of two
// replicas subtracted are the cells of what differs; those of several partitions added up are the
// cells of them together; and a write changes them by one difference. A cell that only one of the
// differing slots falls into gives it away; taken out of its other cells it uncovers further ones.
//
// A slot falls into cell i with probability 1 / (1 + i / 2). So any number of first cells is a
// sketch, for about as many differences as cells / 1.4, however many keys there are.
//
// Source: rateless invertible Bloom lookup tables, "Practical Rateless Set Reconciliation" (Yang,
// Gilad, Alizadeh; SIGCOMM 2024), of which the choice of cells is taken. A linear sketch of a vector
// in the place of their set has one element a changed key where a set has two.
//
// Not promised: that two replicas with equal sketches are equal (a value is 0, or two are the same,
// once in 2^32), or that differences can be read (differences whose number the cells do not bear,
// slots that somebody has chosen for it). Digest trees tell; the sketch only finds quickly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"
#include "storage/model/bytes.h"
#include "storage/model/digest.h"
#include "storage/model/token.h"

namespace grapevine::model {

using Slot = std::uint32_t;

// The last slots share one, so that there are fewer of them than field elements.
Slot slot_of(Token token);
TokenRange tokens_of(Slot slot);

struct SketchCell {
  static constexpr std::size_t kBytes = 12;

  std::uint32_t sum = 0;
  std::uint32_t slots = 0;
  std::uint32_t checks = 0;

  SketchCell& operator+=(const SketchCell& other);
  SketchCell& operator-=(const SketchCell& other);
  bool zero() const { return sum == 0 && slots == 0 && checks == 0; }
  friend bool operator==(const SketchCell&, const SketchCell&) = default;
};

// Value. Costs: 12 bytes a cell; a change touches about 2 ln(cells / 2) of them, some 100 ns.
class Sketch {
 public:
  static constexpr std::size_t kCellsMax = 4096;

  // How many cells each of so many partitions has: together 1.5 MiB, but 64 at least.
  static std::size_t cells_of(std::uint32_t partitions);

  explicit Sketch(std::size_t cells) : cells_(cells) {}

  // A key at `token` had the digest `before` and has `after` (zero: it is not stored).
  void change(Token token, const DigestSum& before, const DigestSum& after);
  const std::vector<SketchCell>& cells() const { return cells_; }
  bool blank() const;

  // Appends: varint cells that are not zero; for each varint gap to the one before it, 12 bytes.
  void encode(std::string& out) const;
  // DataLoss for what encode cannot have written of so many cells.
  static absl::StatusOr<Sketch> decode(std::size_t cells, ByteReader& in);

  friend bool operator==(const Sketch&, const Sketch&) = default;

 private:
  std::vector<SketchCell> cells_;
};

// The differing slots, sorted; nullopt when these cells, the difference of two sketches, do not give
// all of them away. Costs some 0.5 µs a slot. Cells that nobody has made of slots (a hostile peer's)
// cost no more, and are most likely refused.
std::optional<std::vector<Slot>> differing_slots(std::vector<SketchCell> difference);

// How many cells give about so many differing slots away; seldom too few.
std::size_t cells_for(std::uint64_t slots);
// For how many differing slots so many cells are enough.
std::uint64_t slots_for(std::size_t cells);

// The first cells of the sketch of all these partitions together; as many as the smallest has, if
// that is fewer.
std::vector<SketchCell> first_cells(const std::vector<const Sketch*>& sketches, std::size_t count);

// One byte of each of a few cells of the sketch of all these partitions together, further and
// further apart: enough to guess how much differs.
std::string probes_of(const std::vector<const Sketch*>& sketches);
// How many slots differ: as many as are expected, unless the probes are a thousand times as likely
// with another number (one byte that is equal by chance does not make it so); else the likeliest one,
// give or take half of it, at most about twice the cells. Of probes of different sizes the common ones
// are looked at.
std::uint64_t estimate_slots(std::string_view mine, std::string_view theirs,
                             std::uint64_t expected);

// 12 bytes a cell, little-endian. InvalidArgument for anything else.
void encode_cells(const std::vector<SketchCell>& cells, std::string& out);
absl::StatusOr<std::vector<SketchCell>> decode_cells(std::string_view bytes);

}  // namespace grapevine::model
