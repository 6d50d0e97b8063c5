#include "storage/model/sketch.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace grapevine::model {
namespace {

// The field: integers modulo the largest prime below 2^32.
constexpr std::uint64_t kPrime = 4'294'967'291;

std::uint32_t add(std::uint32_t a, std::uint32_t b) {
  const std::uint64_t sum = std::uint64_t{a} + b;
  return static_cast<std::uint32_t>(sum >= kPrime ? sum - kPrime : sum);
}

std::uint32_t subtract(std::uint32_t a, std::uint32_t b) {
  return a >= b ? a - b : static_cast<std::uint32_t>(a + (kPrime - b));
}

std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>(std::uint64_t{a} * b % kPrime);
}

std::uint32_t inverse(std::uint32_t a) {
  std::uint32_t result = 1;
  for (std::uint64_t exponent = kPrime - 2; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = multiply(result, a);
    a = multiply(a, a);
  }
  return result;
}

// SplitMix64.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::uint32_t check_of(Slot slot) {
  return static_cast<std::uint32_t>(mix(slot ^ 0x6368656b00000000) % kPrime);
}

std::uint32_t value_of(const DigestSum& digest) {
  return static_cast<std::uint32_t>(digest.low % kPrime);
}

// 1 / sqrt(r) - 1 for r uniform in (0, 1), in steps of equal probability; fixed-point.
constexpr int kGapBits = 11;
constexpr int kGapFraction = 16;
const std::array<std::uint32_t, 1 << kGapBits> kGaps = [] {
  std::array<std::uint32_t, 1 << kGapBits> gaps{};
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    const double r = (static_cast<double>(i) + 0.5) / static_cast<double>(gaps.size());
    gaps[i] = static_cast<std::uint32_t>((1 / std::sqrt(r) - 1) * (1 << kGapFraction));
  }
  return gaps;
}();

// The cells that a slot falls into, in order; the first one always. From cell i the next one is
// (i + 1.5) (1 / sqrt(r) - 1) further on, rounded up: that gives the probabilities above.
class Places {
 public:
  explicit Places(Slot slot) : state_(mix(slot)) {}

  std::size_t at() const { return at_; }
  void next() {
    state_ *= 0xda942042e4dd58b5;
    const std::uint64_t gap = kGaps[state_ >> (64 - kGapBits)];
    at_ += ((2 * at_ + 3) * gap >> (kGapFraction + 1)) + 1;
  }

 private:
  std::uint64_t state_;
  std::size_t at_ = 0;
};

SketchCell share_of(Slot slot, std::uint32_t value) {
  return {value, multiply(value, slot), multiply(value, check_of(slot))};
}

// The inverses of all, for little more than the price of one. REQUIRES: none is 0.
std::vector<std::uint32_t> inverses(const std::vector<std::uint32_t>& of) {
  std::vector<std::uint32_t> products(of.size());
  std::uint32_t product = 1;
  for (std::size_t i = 0; i < of.size(); ++i) {
    products[i] = product;
    product = multiply(product, of[i]);
  }
  std::uint32_t rest = inverse(product);
  for (std::size_t i = of.size(); i-- > 0;) {
    products[i] = multiply(products[i], rest);
    rest = multiply(rest, of[i]);
  }
  return products;
}

constexpr double kProbeStep = 1.2;

// Of so many cells.
std::vector<std::size_t> probe_places(std::size_t cells) {
  std::vector<std::size_t> places;
  double next = 1;
  for (std::size_t at = 0; at < cells; at = std::max(at + 1, static_cast<std::size_t>(next))) {
    places.push_back(at);
    next *= kProbeStep;
  }
  return places;
}

// That a cell shows a difference, where so many slots differ.
double chance_to_show(std::size_t cell, double slots) {
  if (slots == 0) return 0;
  const double in_it = 1 / (1 + static_cast<double>(cell) / 2);
  if (in_it >= 1) return 255.0 / 256;
  return (1 - std::exp(slots * std::log1p(-in_it))) * 255.0 / 256;
}

std::size_t fewest_cells(const std::vector<const Sketch*>& sketches) {
  std::size_t fewest = sketches.empty() ? 0 : Sketch::kCellsMax;
  for (const Sketch* const sketch : sketches) fewest = std::min(fewest, sketch->cells().size());
  return fewest;
}

}  // namespace

Slot slot_of(Token token) {
  return static_cast<Slot>(std::min(token.value >> 32, kPrime - 1));
}

TokenRange tokens_of(Slot slot) {
  const std::uint64_t first = std::uint64_t{slot} << 32;
  return {{first}, {slot >= kPrime - 1 ? ~std::uint64_t{0} : first | 0xffffffff}};
}

SketchCell& SketchCell::operator+=(const SketchCell& other) {
  sum = add(sum, other.sum);
  slots = add(slots, other.slots);
  checks = add(checks, other.checks);
  return *this;
}

SketchCell& SketchCell::operator-=(const SketchCell& other) {
  sum = subtract(sum, other.sum);
  slots = subtract(slots, other.slots);
  checks = subtract(checks, other.checks);
  return *this;
}

std::size_t Sketch::cells_of(std::uint32_t partitions) {
  constexpr std::size_t kAll = 131'072;
  constexpr std::size_t kFewest = 64;
  return std::clamp(kAll / partitions, kFewest, kCellsMax);
}

void Sketch::change(Token token, const DigestSum& before, const DigestSum& after) {
  const std::uint32_t value = subtract(value_of(after), value_of(before));
  if (value == 0) return;
  const Slot slot = slot_of(token);
  const SketchCell share = share_of(slot, value);
  for (Places places(slot); places.at() < cells_.size(); places.next())
    cells_[places.at()] += share;
}

bool Sketch::blank() const {
  return std::all_of(cells_.begin(), cells_.end(), [](const auto& cell) { return cell.zero(); });
}

void Sketch::encode(std::string& out) const {
  const auto filled = std::count_if(cells_.begin(), cells_.end(),
                                    [](const SketchCell& cell) { return !cell.zero(); });
  put_varint(out, static_cast<std::uint64_t>(filled));
  std::size_t next = 0;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    if (cells_[i].zero()) continue;
    put_varint(out, i - next);
    encode_cells({cells_[i]}, out);
    next = i + 1;
  }
}

absl::StatusOr<Sketch> Sketch::decode(std::size_t cells, ByteReader& in) {
  const absl::Status malformed = absl::DataLossError("sketch: malformed");
  Sketch sketch(cells);
  const std::uint64_t filled = in.varint();
  if (!in.ok() || filled > cells) return malformed;
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < filled; ++i) {
    const std::uint64_t gap = in.varint();
    if (!in.ok() || gap >= cells - next) return malformed;
    const auto cell = decode_cells(in.raw(SketchCell::kBytes));
    if (!in.ok() || !cell.ok() || cell->front().zero()) return malformed;
    sketch.cells_[next + gap] = cell->front();
    next += gap + 1;
  }
  return sketch;
}

// Round by round: what the cells that changed in the last one give away.
std::optional<std::vector<Slot>> differing_slots(std::vector<SketchCell> difference) {
  std::vector<Slot> found;
  std::vector<std::size_t> changed(difference.size());
  for (std::size_t i = 0; i < changed.size(); ++i) changed[i] = i;
  std::vector<bool> is_changed(difference.size());
  while (!changed.empty()) {
    std::erase_if(changed, [&](std::size_t i) { return difference[i].sum == 0; });
    std::vector<std::uint32_t> sums;
    for (const std::size_t i : changed) sums.push_back(difference[i].sum);
    const std::vector<std::uint32_t> inverted = inverses(sums);
    std::vector<std::size_t> next;
    for (std::size_t n = 0; n < changed.size(); ++n) {
      const SketchCell cell = difference[changed[n]];
      if (cell.sum != sums[n]) continue;  // changed in this round: looked at in the next
      const Slot slot = multiply(cell.slots, inverted[n]);
      if (multiply(cell.sum, check_of(slot)) != cell.checks) continue;
      Places places(slot);
      while (places.at() < changed[n]) places.next();
      if (places.at() != changed[n]) continue;
      // Each takes a cell's last slot away: more of them than cells were made to mislead.
      if (found.size() == difference.size()) return std::nullopt;
      found.push_back(slot);
      for (Places at(slot); at.at() < difference.size(); at.next()) {
        difference[at.at()] -= cell;
        if (!is_changed[at.at()]) next.push_back(at.at());
        is_changed[at.at()] = true;
      }
    }
    for (const std::size_t i : next) is_changed[i] = false;
    changed = std::move(next);
  }
  const bool all = std::all_of(difference.begin(), difference.end(),
                               [](const SketchCell& cell) { return cell.zero(); });
  if (!all) return std::nullopt;
  std::sort(found.begin(), found.end());
  if (std::adjacent_find(found.begin(), found.end()) != found.end()) return std::nullopt;
  return found;
}

std::size_t cells_for(std::uint64_t slots) {
  constexpr std::uint64_t kMany = std::uint64_t{1} << 40;  // a peer may say any number
  const auto count = static_cast<double>(std::min(slots, kMany));
  return static_cast<std::size_t>(std::ceil(1.36 * count + 2.6 * std::sqrt(count))) + 6;
}

std::uint64_t slots_for(std::size_t cells) {
  std::uint64_t enough = 0;
  std::uint64_t beyond = cells + 1;
  while (beyond - enough > 1) {
    const std::uint64_t middle = enough + (beyond - enough) / 2;
    (cells_for(middle) <= cells ? enough : beyond) = middle;
  }
  return enough;
}

std::vector<SketchCell> first_cells(const std::vector<const Sketch*>& sketches, std::size_t count) {
  std::vector<SketchCell> cells(std::min(count, fewest_cells(sketches)));
  for (const Sketch* const sketch : sketches) {
    for (std::size_t i = 0; i < cells.size(); ++i) cells[i] += sketch->cells()[i];
  }
  return cells;
}

std::string probes_of(const std::vector<const Sketch*>& sketches) {
  std::string probes;
  for (const std::size_t at : probe_places(fewest_cells(sketches))) {
    SketchCell cell;
    for (const Sketch* const sketch : sketches) cell += sketch->cells()[at];
    probes.push_back(static_cast<char>(cell.sum & 0xff));
  }
  return probes;
}

std::uint64_t estimate_slots(std::string_view mine, std::string_view theirs,
                             std::uint64_t expected) {
  const std::vector<std::size_t> places = probe_places(Sketch::kCellsMax);
  const std::size_t common = std::min({mine.size(), theirs.size(), places.size()});
  // Its logarithm.
  const auto likelihood = [&](double slots) {
    double sum = 0;
    for (std::size_t i = 0; i < common; ++i) {
      const double shows = chance_to_show(places[i], slots);
      sum += std::log(mine[i] != theirs[i] ? shows : 1 - shows);
    }
    return sum;
  };
  double likeliest = 0;
  double best = likelihood(0);
  for (double slots = 1; slots < 2 * static_cast<double>(Sketch::kCellsMax); slots *= 1.1) {
    const double here = likelihood(slots);
    if (here <= best) continue;
    best = here;
    likeliest = slots;
  }
  constexpr double kClearly = 7;  // more than log(256)
  if (best - likelihood(static_cast<double>(expected)) < kClearly) return expected;
  return static_cast<std::uint64_t>(std::llround(likeliest));
}

void encode_cells(const std::vector<SketchCell>& cells, std::string& out) {
  for (const SketchCell& cell : cells) {
    put_fixed32(out, cell.sum);
    put_fixed32(out, cell.slots);
    put_fixed32(out, cell.checks);
  }
}

absl::StatusOr<std::vector<SketchCell>> decode_cells(std::string_view bytes) {
  if (bytes.size() % SketchCell::kBytes != 0) {
    return absl::InvalidArgumentError("cells of a sketch: cut short");
  }
  std::vector<SketchCell> cells(bytes.size() / SketchCell::kBytes);
  ByteReader in(bytes);
  for (SketchCell& cell : cells) {
    cell = {in.fixed32(), in.fixed32(), in.fixed32()};
    if (cell.sum >= kPrime || cell.slots >= kPrime || cell.checks >= kPrime) {
      return absl::InvalidArgumentError("cells of a sketch: a sum beyond the field");
    }
  }
  return cells;
}

}  // namespace grapevine::model
