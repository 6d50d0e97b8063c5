// Goal: what is written is read back the same; what no node of ours would send ends in a Status (or
// in Cap'n Proto's own exception), never in a value that breaks an invariant. Method: round trips
// as properties; hostile messages written by hand; bytes of good messages, mutated.
#include "server/wire.h"

#include <cstring>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/base/limits.h"
#include "tests/model/generators.h"

namespace grapevine::server {
namespace {

using model::Dot;

const ActorId kActor = ActorId::of(NodeId{7}, 1);

// Writes `value` as a message of type Wire and reads it back.
template <typename Wire, typename T>
auto there_and_back(const T& value) {
  capnp::MallocMessageBuilder message;
  write(value, message.initRoot<Wire>());
  return read(message.getRoot<Wire>().asReader());
}

// Entries as they travel: any bytes, live versions covered by the vector.
rc::Gen<model::Entry> any_travelling_entry() {
  return rc::gen::map(model::any_wide_entry(), [](model::Entry entry) {
    for (model::Version& version : entry.versions) entry.vector.raise(version.dot);
    return entry;
  });
}

// ---- round trips

RC_GTEST_PROP(WireEntry, ComesBackAsItWas, ()) {
  const auto entry = *any_travelling_entry();
  const auto back = there_and_back<wire::Entry>(entry);
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == entry);
}

RC_GTEST_PROP(WireEntry, HeadsComeBackAsHeads, ()) {
  auto entry = *any_travelling_entry();
  for (model::Version& version : entry.versions) model::drop_value(version);
  const auto back = there_and_back<wire::Entry>(entry);
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == entry);
}

RC_GTEST_PROP(WireKeyedEntry, ComesBackAsItWas, ()) {
  model::KeyedEntry keyed;
  keyed.key = *rc::gen::nonEmpty(rc::gen::arbitrary<std::string>());
  keyed.entry = *any_travelling_entry();
  keyed.events = *rc::gen::container<std::vector<Dot>>(model::any_wide_dot());
  const auto back = there_and_back<wire::KeyedEntry>(keyed);
  RC_ASSERT(back.ok());
  RC_ASSERT(back->key == keyed.key);
  RC_ASSERT(back->entry == keyed.entry);
  RC_ASSERT(back->events == keyed.events);
}

RC_GTEST_PROP(WirePartitionState, ComesBackAsItWas, ()) {
  gossip::PartitionState state;
  state.partition = {*rc::gen::inRange<std::uint32_t>(0, kPartitionsMax)};
  state.clock = *model::any_wide_clock();
  state.root = {{*rc::gen::arbitrary<std::uint64_t>(), *rc::gen::arbitrary<std::uint64_t>()},
                *rc::gen::arbitrary<std::uint32_t>(),
                *rc::gen::arbitrary<std::uint32_t>()};
  const auto back = there_and_back<wire::PartitionState>(state);
  RC_ASSERT(back.ok());
  RC_ASSERT(back->partition == state.partition);
  RC_ASSERT(back->clock == state.clock);
  RC_ASSERT(back->root.sum == state.root.sum);
  RC_ASSERT(back->root.keys == state.root.keys);
  RC_ASSERT(back->root.unquiet == state.root.unquiet);
}

RC_GTEST_PROP(WireItem, ComesBackAsItWas,
              (std::string key, std::uint64_t hash, std::uint64_t digest, bool unquiet)) {
  const model::Item item{key, hash, digest, unquiet};
  RC_ASSERT(there_and_back<wire::Item>(item) == item);
}

RC_GTEST_PROP(WireTokenRange, ComesBackAsItWas, (std::uint64_t first, std::uint64_t last)) {
  const model::TokenRange range{{first}, {last}};
  RC_ASSERT(there_and_back<wire::TokenRange>(range) == range);
}

RC_GTEST_PROP(WireDotRange, ListsComeBackAsTheyWere, (std::vector<model::DotRange> ranges)) {
  capnp::MallocMessageBuilder message;
  auto list = message.initRoot<capnp::List<wire::DotRange>>(static_cast<unsigned>(ranges.size()));
  for (unsigned i = 0; i < list.size(); ++i) write(ranges[i], list[i]);
  const auto back = read(list.asReader());
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == ranges);
}

RC_GTEST_PROP(WireMember, ComesBackAsItWas, (std::uint64_t number, std::string zone)) {
  gossip::MemberRecord record;
  record.id = {number % NodeId::kMax + 1};
  record.epoch = number % 1000;
  record.name = "name";
  record.peer_address = "host:1";
  record.client_address = "host:2";
  record.http_address = "host:3";
  std::erase(zone, '\0');  // texts end there
  record.zone = zone;
  record.weight = static_cast<std::uint32_t>(number);
  record.state = static_cast<gossip::MemberState>(number % 3);
  record.incarnation = number;
  record.protocols = {static_cast<std::uint32_t>(number % 5), 9};
  record.version = "1.2.3";
  RC_ASSERT(there_and_back<wire::Member>(record) == record);
}

rc::Gen<Operation> any_operation() {
  return rc::gen::map(
      rc::gen::tuple(
          rc::gen::element(OperationKind::kGet, OperationKind::kPut, OperationKind::kRemove),
          rc::gen::element(Consistency::kQuorum, Consistency::kOne, Consistency::kAll),
          rc::gen::arbitrary<std::string>(), rc::gen::arbitrary<std::string>(),
          rc::gen::arbitrary<std::uint64_t>(), rc::gen::maybe(rc::gen::arbitrary<std::string>()),
          rc::gen::maybe(rc::gen::arbitrary<std::string>())),
      [](auto drawn) {
        Operation operation;
        operation.kind = std::get<0>(drawn);
        operation.consistency = std::get<1>(drawn);
        operation.key = std::get<2>(drawn);
        // Empty is not absent: a session begins.
        const auto& session = std::get<6>(drawn);
        if (session) operation.session = *session;
        if (!operation.writes()) return operation;
        operation.value = std::get<3>(drawn);
        operation.write_id = std::get<4>(drawn);
        if (const auto& context = std::get<5>(drawn)) operation.context = *context;
        return operation;
      });
}

RC_GTEST_PROP(WireOperation, ComesBackAsItWas, ()) {
  const Operation operation = *any_operation();
  const Operation back = there_and_back<wire::Operation>(operation);
  RC_ASSERT(back.kind == operation.kind);
  RC_ASSERT(back.consistency == operation.consistency);
  RC_ASSERT(back.key == operation.key);
  RC_ASSERT(back.value == operation.value);
  RC_ASSERT(back.write_id == operation.write_id);
  RC_ASSERT(back.context == operation.context);
  RC_ASSERT(back.session == operation.session);
}

RC_GTEST_PROP(WireResult, AReadComesBackAsClientsSeeIt,
              (std::string context, std::string session)) {
  const model::Entry entry = *model::any_wide_entry();
  const ReadAnswer answer{{entry.versions.begin(), entry.versions.end()}, context, session};
  const OperationAnswer back = there_and_back<wire::Result>(OperationAnswer(answer));
  const auto* read = std::get_if<ReadAnswer>(&back);
  RC_ASSERT(read != nullptr);
  RC_ASSERT(read->context == context);
  RC_ASSERT(read->session == session);
  RC_ASSERT(read->siblings.size() == answer.siblings.size());
  for (std::size_t i = 0; i < answer.siblings.size(); ++i) {
    RC_ASSERT(read->siblings[i].dot == answer.siblings[i].dot);
    RC_ASSERT(read->siblings[i].value == answer.siblings[i].value);
    RC_ASSERT(read->siblings[i].has_value);
    RC_ASSERT(read->siblings[i].value_bytes == answer.siblings[i].value_bytes);
    RC_ASSERT(read->siblings[i].written == answer.siblings[i].written);
  }
}

RC_GTEST_PROP(WireResult, AWriteComesBackAsItWas, (std::string context, std::string session)) {
  const WriteAnswer answer{*model::any_wide_dot(), context, session};
  const OperationAnswer back = there_and_back<wire::Result>(OperationAnswer(answer));
  const auto* written = std::get_if<WriteAnswer>(&back);
  RC_ASSERT(written != nullptr);
  RC_ASSERT(written->dot == answer.dot);
  RC_ASSERT(written->context == context);
  RC_ASSERT(written->session == session);
}

TEST(WireSibling, AVersionWithoutItsValueIsTakenForOne) {
  model::Version version = model::version_of({kActor, 1});
  model::drop_value(version);
  const model::Version back = there_and_back<wire::Sibling>(version);
  EXPECT_FALSE(back.has_value);
  EXPECT_EQ(back.value_bytes, version.value_bytes);
  version.has_value = true;  // an empty value is a value
  version.value_bytes = 0;
  EXPECT_TRUE(there_and_back<wire::Sibling>(version).has_value);
}

TEST(WireStatus, EveryCodeThatSomebodyActsOnComesBack) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kInvalidArgument, absl::StatusCode::kUnavailable,
        absl::StatusCode::kUnknown, absl::StatusCode::kResourceExhausted,
        absl::StatusCode::kFailedPrecondition, absl::StatusCode::kDataLoss,
        absl::StatusCode::kNotFound, absl::StatusCode::kCancelled, absl::StatusCode::kInternal}) {
    const absl::Status status(code, "what; remedy");
    EXPECT_EQ(there_and_back<wire::Status>(status), status);
    const OperationAnswer answer = there_and_back<wire::Result>(OperationAnswer(status));
    EXPECT_EQ(std::get<absl::Status>(answer), status);
  }
  EXPECT_TRUE(there_and_back<wire::Status>(absl::OkStatus()).ok());
  EXPECT_TRUE(absl::IsInternal(there_and_back<wire::Status>(absl::AbortedError("x"))));
}

TEST(WireStatus, ACodeOfALaterVersionIsInternal) {
  capnp::MallocMessageBuilder message;
  auto status = message.initRoot<wire::Status>();
  status.setCode(static_cast<wire::Code>(1000));
  status.setText("new");
  EXPECT_EQ(read(status.asReader()), absl::InternalError("new"));
}

// ---- hostile messages

class HostileEntry : public ::testing::Test {
 protected:
  // A good entry of one version; tests spoil it.
  HostileEntry() {
    model::Entry entry;
    entry.vector.raise({kActor, 5});
    entry.insert(model::version_with({kActor, 5}, "value"));
    keyed_ = message_.initRoot<wire::KeyedEntry>();
    write(model::KeyedEntry{"k", entry, {{kActor, 5}}}, keyed_);
    EXPECT_TRUE(read(keyed_.asReader()).ok());
  }
  ~HostileEntry() noexcept override {}
  wire::Version::Builder version() { return keyed_.getEntry().getVersions()[0]; }
  wire::Dot::Builder top() { return keyed_.getEntry().getVector().getItems()[0]; }
  void expect_refused() {
    const auto back = read(keyed_.asReader());
    EXPECT_TRUE(absl::IsInvalidArgument(back.status())) << back.status();
  }

  capnp::MallocMessageBuilder message_;
  wire::KeyedEntry::Builder keyed_{nullptr};
};

TEST_F(HostileEntry, AValueThatDoesNotMatchItsChecksum) {
  version().setChecksum(version().getChecksum() + 1);
  expect_refused();
}

TEST_F(HostileEntry, AValueOverTheLimit) {
  const std::string value(kValueBytesMax + 1, 'v');
  version().setValue(bytes_of(value));
  version().setChecksum(model::value_checksum(value));
  expect_refused();
}

TEST_F(HostileEntry, ALengthThatIsNotTheValues) {
  version().setValueBytes(1'000'000);
  const auto back = read(keyed_.asReader());
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->entry.versions[0].value_bytes, 5U) << "the value itself is believed";
}

TEST_F(HostileEntry, AHeadThatClaimsMoreThanAValueMayHave) {
  version().setHasValue(false);
  version().setValueBytes(kValueBytesMax);
  EXPECT_TRUE(read(keyed_.asReader()).ok());
  version().setValueBytes(kValueBytesMax + 1);
  expect_refused();
}

TEST_F(HostileEntry, AVersionThatTheVectorDoesNotCover) {
  top().setCounter(4);
  expect_refused();
}

TEST_F(HostileEntry, AVersionTwice) {
  const auto from = version().asReader();
  auto versions = message_.getOrphanage().newOrphan<capnp::List<wire::Version>>(2);
  versions.get().setWithCaveats(0, from);
  versions.get().setWithCaveats(1, from);
  keyed_.getEntry().adoptVersions(kj::mv(versions));
  expect_refused();
}

TEST_F(HostileEntry, CountersThatNoWriteHas) {
  for (const std::uint64_t counter :
       {std::uint64_t{0}, model::kCounterMax + 1, ~std::uint64_t{0}}) {
    version().getDot().setCounter(counter);
    expect_refused();
    version().getDot().setCounter(5);
    keyed_.getEvents()[0].setCounter(counter);
    expect_refused();
    keyed_.getEvents()[0].setCounter(5);
    auto items = keyed_.getEntry().initVector().initItems(2);
    items[0].setActor(kActor.value);
    items[0].setCounter(5);
    items[1].setActor(kActor.value + 1);
    items[1].setCounter(counter == model::kClosed ? counter + 1 : counter);
    expect_refused();
    items[1].setCounter(1);
    EXPECT_TRUE(read(keyed_.asReader()).ok());
  }
}

TEST_F(HostileEntry, KeysOutsideTheLimits) {
  keyed_.setKey(bytes_of(""));
  expect_refused();
  keyed_.setKey(bytes_of(std::string(kKeyBytesMax + 1, 'k')));
  expect_refused();
  keyed_.setKey(bytes_of(std::string(kKeyBytesMax, 'k')));
  EXPECT_TRUE(read(keyed_.asReader()).ok());
}

TEST(HostileDots, RangesThatCannotBe) {
  const auto status_of = [](std::uint64_t first, std::uint64_t last) {
    capnp::MallocMessageBuilder message;
    auto list = message.initRoot<capnp::List<wire::DotRange>>(1);
    list[0].setFirst(first);
    list[0].setLast(last);
    return read(list.asReader()).status();
  };
  EXPECT_TRUE(status_of(1, model::kCounterMax).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(status_of(0, 1)));
  EXPECT_TRUE(absl::IsInvalidArgument(status_of(2, 1)));
  EXPECT_TRUE(absl::IsInvalidArgument(status_of(1, model::kCounterMax + 1)));
}

TEST(HostilePartitionState, PartitionsThatCannotBeAndClocksThatAreNone) {
  capnp::MallocMessageBuilder message;
  auto state = message.initRoot<wire::PartitionState>();
  write(gossip::PartitionState{}, state);
  EXPECT_TRUE(read(state.asReader()).ok());
  state.setPartition(kPartitionsMax);
  EXPECT_TRUE(absl::IsInvalidArgument(read(state.asReader()).status()));
  state.setPartition(0);
  state.setClock(bytes_of("no clock"));
  EXPECT_FALSE(read(state.asReader()).ok());
}

TEST(HostileMember, AStateOfALaterVersionIsThatOfAMember) {
  capnp::MallocMessageBuilder message;
  auto member = message.initRoot<wire::Member>();
  member.setState(static_cast<wire::MemberState>(77));
  EXPECT_EQ(read(member.asReader()).state, gossip::MemberState::kUp);
}

// The reader of `T` either refuses the message or gives what can be written again.
template <typename Wire>
void survives(const kj::Array<capnp::word>& good) {
  const kj::ArrayPtr<const kj::byte> bytes = good.asBytes();
  auto words = kj::heapArray<capnp::word>(good.size());
  std::memcpy(words.begin(), bytes.begin(), bytes.size());
  const auto edits = *rc::gen::container<std::vector<std::pair<std::uint32_t, std::uint8_t>>>(
      3, rc::gen::pair(rc::gen::arbitrary<std::uint32_t>(), rc::gen::arbitrary<std::uint8_t>()));
  for (const auto& [place, flips] : edits) {
    words.asBytes()[(place * std::size_t{31}) % bytes.size()] ^= flips;
  }
  bool accepted = false;
  bool read_again = false;
  const auto refused = kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader message(words);
    const auto back = read(message.getRoot<Wire>());
    accepted = back.ok();
    if (!accepted) return;
    capnp::MallocMessageBuilder again;
    write(*back, again.initRoot<Wire>());
    read_again = read(again.getRoot<Wire>().asReader()).ok();
  });
  RC_ASSERT(!accepted || read_again);
  RC_CLASSIFY(accepted, "accepted");
  RC_CLASSIFY(refused != nullptr, "refused by Cap'n Proto");
}

RC_GTEST_PROP(HostileBytes, OfAnEntry, ()) {
  capnp::MallocMessageBuilder message;
  write(model::KeyedEntry{"key", *any_travelling_entry(), {{kActor, 1}}},
        message.initRoot<wire::KeyedEntry>());
  survives<wire::KeyedEntry>(capnp::messageToFlatArray(message));
}

RC_GTEST_PROP(HostileBytes, OfAPartitionState, ()) {
  capnp::MallocMessageBuilder message;
  write(gossip::PartitionState{{3}, *model::any_wide_clock(), {}},
        message.initRoot<wire::PartitionState>());
  survives<wire::PartitionState>(capnp::messageToFlatArray(message));
}

}  // namespace
}  // namespace grapevine::server
