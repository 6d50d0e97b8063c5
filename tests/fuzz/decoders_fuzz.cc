// Hostile bytes for every decoder of what lies on disk, and of what members tell each other: none may
// do more than give a Status, and what is taken must be written again as the same bytes.
//
// One body, two ways to run it:
//   - by the test suite: every file of tests/fuzz/corpus, and thousands of mutations of each, drawn
//     from a fixed seed (GRAPEVINE_FUZZ_ROUNDS of them; a failure prints the bytes)
//   - by libFuzzer, for as long as one likes: tools/fuzz.sh
// The first byte of an input chooses the decoder. `decoders_fuzz --write-corpus DIRECTORY` makes the
// corpus anew from what the encoders write today.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "gossip/member_list.h"
#include "gossip/packet.h"
#include "gossip/push_pull.h"
#include "gossip/states_codec.h"
#include "storage/base/check.h"
#include "storage/base/random.h"
#include "storage/clock_journal.h"
#include "storage/damage.h"
#include "storage/identity.h"
#include "storage/life.h"
#include "storage/model/clock.h"
#include "storage/model/context.h"
#include "storage/model/entries_codec.h"
#include "storage/model/entry_codec.h"
#include "storage/model/session.h"
#include "storage/tree_checkpoint.h"

namespace grapevine::fuzz {
namespace {

using namespace storage;

constexpr std::string_view kKey = "key";
constexpr std::uint64_t kSequence = 9;
constexpr std::size_t kCells = 64;

model::ActorTable actors() {
  model::ActorTable table;
  for (std::uint64_t node = 1; node <= 3; ++node) table.index_of(ActorId::of(NodeId{node}, node));
  return table;
}

model::TokenRange range() {
  return model::Partitioning(4).range(PartitionId{1});
}

struct Decoder {
  const char* name;
  std::function<void(std::string_view)> check;
  std::function<std::string()> sample;
};

// Where `decode` takes the bytes, `encode` gives them back.
template <typename Decode, typename Encode>
std::function<void(std::string_view)> round_trip(Decode decode, Encode encode) {
  return [=](std::string_view bytes) {
    const auto decoded = decode(bytes);
    if (decoded.ok()) {
      GRAPEVINE_CHECK(encode(*decoded) == bytes, "what was decoded encodes to other bytes");
    } else {
      GRAPEVINE_CHECK(!text_of(decoded.status()).empty(), "an error says what is wrong");
    }
  };
}

model::Entry sample_entry() {
  model::Entry entry;
  for (std::uint64_t i = 1; i <= 2; ++i) {
    model::Version version;
    version.dot = {ActorId::of(NodeId{i}, i), 300 * i};
    version.written = {1'700'000'000'000};
    version.write_id = static_cast<std::uint32_t>(i);
    version.value = i == 1 ? "a value" : std::string(model::kApartBytes, 'v');
    version.expires = {i == 1 ? 1'800'000'000'000 : 0};
    version.checksum = model::value_checksum(version.value);
    version.value_bytes = version.value.size();
    entry.insert(std::move(version));
  }
  entry.vector.raise(ActorId::of(NodeId{3}, 3), 70'000);
  return entry;
}

model::Clock sample_clock() {
  model::Clock clock;
  clock.add(model::DotRange{ActorId::of(NodeId{1}, 1), 1, 1000});
  clock.add(model::DotRange{ActorId::of(NodeId{1}, 1), 1500, 1600});
  clock.add(model::Dot{ActorId::of(NodeId{2}, 7), 5});
  clock.close(NodeId{3}, 4);
  return clock;
}

gossip::MemberRecord sample_member() {
  gossip::MemberRecord record;
  record.id = NodeId{3};
  record.epoch = 2;
  record.name = "n3";
  record.peer_address = "host3:4741";
  record.zone = "z";
  record.incarnation = 300;
  record.version = "1.0";
  return record;
}

gossip::Packet sample_packet() {
  const NodeId node{2};
  return {NodeId{1},
          {gossip::Ping{1, node}, gossip::Ack{300}, gossip::PingRequest{7, node, "host2:4741"},
           gossip::Nack{5}, sample_member(), gossip::Suspect{node, 7, NodeId{1}},
           gossip::Down{node, 200, node}, gossip::LoadReport{node, 1, 2, {10, 55, 4096}},
           gossip::Rumour{{node, 9}, 61, "config", "payload"}}};
}

std::string packed(const gossip::Packet& packet) {
  gossip::PacketWriter writer(0, packet.from, 1'000'000);
  for (const gossip::Message& message : packet.messages) writer.add(message);
  return writer.take();
}

// Messages of unknown kinds are left out, so that not the bytes but what they say must be the same.
void check_packet(std::string_view bytes) {
  const auto decoded = gossip::decode_packet(bytes, 0);
  if (!decoded.ok()) return;
  const auto again = gossip::decode_packet(packed(*decoded), 0);
  GRAPEVINE_CHECK(again.ok() && again->messages == decoded->messages,
                  "what was decoded encodes to something else");
}

template <typename T>
std::string encoded(const T& value) {
  std::string bytes;
  value.encode(bytes);
  return bytes;
}

const std::vector<Decoder>& decoders() {
  static const std::vector<Decoder> all{
      {"entry",
       [](std::string_view bytes) {
         const model::ActorTable table = actors();
         const auto whole = model::decode_entry(bytes, table, model::Values::kWith);
         const auto heads = model::decode_entry(bytes, table, model::Values::kWithout);
         GRAPEVINE_CHECK(whole.ok() == heads.ok(), "values make no difference");
         if (!whole.ok()) return;
         model::ActorTable same = table;
         std::string again;
         model::encode_entry(*whole, same, again);
         GRAPEVINE_CHECK(again == bytes, "what was decoded encodes to other bytes");
       },
       [] {
         model::ActorTable table = actors();
         std::string bytes;
         model::encode_entry(sample_entry(), table, bytes);
         return bytes;
       }},
      {"clock",
       round_trip([](std::string_view bytes) { return model::Clock::decode(bytes); },
                  encoded<model::Clock>),
       [] { return encoded(sample_clock()); }},
      {"context",
       [](std::string_view bytes) { model::decode_context(kKey, bytes).status().IgnoreError(); },
       [] { return model::encode_context(kKey, sample_entry().vector); }},
      {"journal record",
       [](std::string_view bytes) {
         const auto record = JournalRecord::decode(bytes);
         if (record.ok()) JournalRecord::decode(record->encode()).value();
       },
       [] {
         JournalRecord record{300, {{1, 2}, 3}, {}};
         record.dots = {{{5}, {ActorId::of(NodeId{1}, 1), 2}},
                        {{4}, {ActorId::of(NodeId{2}, 1), 1}}};
         return record.encode();
       }},
      {"identity",
       round_trip([](std::string_view bytes) { return Identity::decode(bytes); },
                  [](const Identity& identity) { return identity.encode(); }),
       [] {
         return Identity{"grapevine", 64, ActorId::of(NodeId{77}, 3)}.encode();
       }},
      {"life record",
       [](std::string_view bytes) { LifeRecord::decode(bytes).status().IgnoreError(); },
       [] {
         return LifeRecord{{"machine", "boot", "directory"}, true}.encode();
       }},
      {"damage note",
       round_trip([](std::string_view bytes) { return DamageNote::decode(bytes); },
                  [](const DamageNote& note) { return note.encode(); }),
       [] {
         return DamageNote{300, {{{1, 2}, 3}, {{4, 5}, 6}}}.encode();
       }},
      {"tree checkpoint",
       [](std::string_view bytes) {
         decode_tree_checkpoint(bytes, range(), kCells, kSequence).status().IgnoreError();
       },
       [] {
         std::vector<std::pair<model::Token, model::DigestShare>> shares;
         for (std::uint64_t i = 0; i < 200; ++i) {
           shares.emplace_back(model::Token{range().first.value + (i << 54)},
                               model::DigestShare{{i, i * i}, 1, i % 2 == 0 ? 1U : 0U, i % 2});
         }
         model::Sketch sketch(kCells);
         for (const auto& [token, share] : shares) sketch.change(token, {}, share.sum);
         return encode_tree_checkpoint({model::DigestTree::build(range(), shares), sketch},
                                       kSequence);
       }},
      {"member list",
       [](std::string_view bytes) { gossip::MemberList::decode(bytes).status().IgnoreError(); },
       [] { return gossip::MemberList(sample_member()).encode(); }},
      {"packet", check_packet, [] { return packed(sample_packet()); }},
      {"push pull",
       round_trip([](std::string_view bytes) { return gossip::decode_push_pull(bytes); },
                  gossip::encode_push_pull),
       [] {
         gossip::PushPull state{NodeId{7}, 11, 12, true, {}, {}};
         state.members = {{sample_member(), gossip::Belief::kSuspect, 301}};
         state.rumours = {gossip::Rumour{{NodeId{1}, 300}, 4, "name", "payload"}};
         return gossip::encode_push_pull(state);
       }},
      {"entries of a peer",
       // The checksum would hide all else.
       [](std::string_view bytes) {
         std::string whole(bytes);
         model::put_fixed64(whole, model::value_checksum(whole));
         const auto entries = model::decode_entries(whole);
         if (!entries.ok()) {
           GRAPEVINE_CHECK(!text_of(entries.status()).empty(), "an error says what is wrong");
           return;
         }
         const std::string again = model::encode_entries(*entries);
         GRAPEVINE_CHECK(model::encode_entries(*model::decode_entries(again)) == again,
                         "what was decoded encodes to something else");
       },
       [] {
         const model::Entry entry = sample_entry();
         model::KeyedEntry keyed{"key", entry, {entry.versions.front().dot}};
         for (const auto& version : entry.versions) keyed.entry.vector.raise(version.dot);
         model::KeyedEntry gone{"gone", {}, {}};
         gone.entry.vector = entry.vector;
         std::string bytes = model::encode_entries({keyed, gone});
         bytes.resize(bytes.size() - 8);
         return bytes;
       }},
      {"states of a peer",
       round_trip([](std::string_view bytes) { return gossip::decode_states(bytes); },
                  gossip::encode_states),
       [] {
         gossip::PartitionState one{PartitionId{3}, {}, {{9, 0}, 0, 2}, false};
         one.clock.add(model::DotRange{ActorId{77}, 1, 5});
         one.clock.add(model::Dot{ActorId{77}, 9});
         gossip::PartitionState other{PartitionId{7}, {}, {}, true};
         other.clock.close(NodeId{4}, 6);
         return gossip::encode_states({one, other});
       }},
      {"fingerprints of a peer",
       round_trip([](std::string_view bytes) { return gossip::decode_fingerprints(bytes); },
                  gossip::encode_fingerprints),
       [] {
         return gossip::encode_fingerprints(
             {{PartitionId{1}, 2}, {PartitionId{2}, 3}, {PartitionId{9}, 65'535}});
       }},
      {"slots of a peer",
       round_trip([](std::string_view bytes) { return gossip::decode_slots(bytes); },
                  gossip::encode_slots),
       [] {
         return gossip::encode_slots({0, 1, 70'000, 0xffffffff});
       }},
      {"cells of a peer",
       [](std::string_view bytes) {
         const auto cells = model::decode_cells(bytes);
         if (cells.ok()) model::differing_slots(*cells);
       },
       [] {
         model::Sketch sketch(40);
         for (std::uint64_t i = 0; i < 10; ++i) sketch.change({i << 50}, {}, {i + 1, 0});
         std::string bytes;
         model::encode_cells(sketch.cells(), bytes);
         return bytes;
       }},
      {"session",
       // The checksum would hide all else.
       [](std::string_view bytes) {
         const std::string whole = model::with_session_checksum(bytes);
         const auto session = model::Session::decode(whole, ~std::size_t{0});
         if (!session.ok()) {
           GRAPEVINE_CHECK(!text_of(session.status()).empty(), "an error says what is wrong");
         } else {
           GRAPEVINE_CHECK(session->encode() == whole, "what was decoded encodes to other bytes");
         }
       },
       [] {
         model::Session session({77, 64}, 1);
         session.note("older", {true, {}, sample_entry().vector});
         session.note(kKey, model::seen_of(sample_entry()));
         std::string bytes = session.encode();
         bytes.resize(bytes.size() - 4);
         return bytes;
       }},
  };
  return all;
}

void check(std::string_view input) {
  if (input.empty()) return;
  const auto which = static_cast<std::uint8_t>(input.front());
  decoders()[which % decoders().size()].check(input.substr(1));
}

}  // namespace
}  // namespace grapevine::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  grapevine::fuzz::check({reinterpret_cast<const char*>(data), size});
  return 0;
}

#ifndef GRAPEVINE_LIBFUZZER

namespace grapevine::fuzz {
namespace {

std::string mutated(std::string bytes, Random& random) {
  for (std::uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
    const std::size_t at = bytes.size() < 2 ? 0 : 1 + random.below(bytes.size() - 1);
    switch (random.below(5)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8))); break;
      case 1: bytes[at] = static_cast<char>(random.next()); break;
      case 2: bytes.insert(at, 1 + random.below(8), static_cast<char>(random.next())); break;
      case 3: bytes.erase(at, 1 + random.below(8)); break;
      default: bytes.resize(at); break;
    }
    if (bytes.empty()) return bytes;
  }
  return bytes;
}

int run(const std::string& corpus) {
  const char* const asked = std::getenv("GRAPEVINE_FUZZ_ROUNDS");
  const std::uint64_t rounds = asked == nullptr ? 20'000 : std::strtoull(asked, nullptr, 10);
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(corpus)) files.push_back(file.path());
  std::sort(files.begin(), files.end());
  GRAPEVINE_CHECK(files.size() >= decoders().size(), "the corpus holds an input for each decoder");
  Random random(1);
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    check(bytes);
    for (std::uint64_t i = 0; i < rounds; ++i) check(mutated(bytes, random));
  }
  fmt::print("{} inputs, {} mutations of each: every decoder kept its word\n", files.size(),
             rounds);
  return 0;
}

int write_corpus(const std::string& directory) {
  for (std::size_t i = 0; i < decoders().size(); ++i) {
    std::string name = decoders()[i].name;
    std::replace(name.begin(), name.end(), ' ', '_');
    std::ofstream(directory + "/" + name, std::ios::binary)
        << static_cast<char>(i) << decoders()[i].sample();
  }
  return 0;
}

}  // namespace
}  // namespace grapevine::fuzz

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--write-corpus") {
    return grapevine::fuzz::write_corpus(argv[2]);
  }
  if (argc == 2) return grapevine::fuzz::run(argv[1]);
  std::fputs("usage: decoders_fuzz CORPUS | decoders_fuzz --write-corpus DIRECTORY\n", stderr);
  return 2;
}

#endif
