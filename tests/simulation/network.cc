#include "tests/simulation/network.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>

#include <kj/debug.h>

#include "rpc/errors.h"

namespace grapevine::simulation {

// One end of a connection: what has arrived for it, and what it has sent that is under way.
//
// Owned by its stream, by the other side's packets, and by what waits on it.
class Network::Side : public std::enable_shared_from_this<Side> {
 public:
  using ReadFulfiller = kj::PromiseFulfiller<size_t>;

  Side(Network& network, std::string host, std::string other_host, ProcessPointer process)
      : network_(network),
        host_(std::move(host)),
        other_host_(std::move(other_host)),
        process_(std::move(process)),
        vanishes_(network.random_.chance(kVanishes)) {}

  static std::pair<SidePointer, SidePointer> pair(Network& network, std::string near,
                                                  ProcessPointer near_process, std::string far,
                                                  ProcessPointer far_process) {
    auto a = std::make_shared<Side>(network, near, far, std::move(near_process));
    auto b = std::make_shared<Side>(network, far, near, std::move(far_process));
    a->other_ = b;
    b->other_ = a;
    network.add(a);
    network.add(b);
    return {a, b};
  }

  // ---- what the stream does ----

  // A read that waits. It leaves the side when its promise goes.
  class Read {
   public:
    Read(ReadFulfiller& fulfiller, SidePointer side, kj::byte* buffer, size_t bytes_min,
         size_t bytes_max)
        : fulfiller_(fulfiller),
          side_(std::move(side)),
          buffer_(buffer),
          bytes_min_(bytes_min),
          bytes_max_(bytes_max) {
      side_->read_ = this;
      side_->serve_read();
    }
    ~Read() {
      if (side_->read_ == this) side_->read_ = nullptr;
    }
    KJ_DISALLOW_COPY(Read);

   private:
    friend class Side;
    ReadFulfiller& fulfiller_;
    const SidePointer side_;
    kj::byte* const buffer_;
    const size_t bytes_min_;
    const size_t bytes_max_;
  };

  kj::Promise<void> write(std::string bytes) {
    if (broken_ || ended_) return rpc::connection_lost("the connection is broken");
    if (bytes.empty()) return kj::READY_NOW;
    under_way_ += bytes.size();
    send(std::move(bytes));
    if (under_way_ <= kWindowBytes) return kj::READY_NOW;
    auto waiting = kj::newPromiseAndFulfiller<void>();
    room_ = kj::mv(waiting.fulfiller);
    return kj::mv(waiting.promise);
  }

  void end() {  // nothing more will be sent
    if (broken_ || std::exchange(ended_, true)) return;
    send({});
  }

  kj::Promise<void> when_broken() {
    if (broken_) return kj::READY_NOW;
    auto waiting = kj::newPromiseAndFulfiller<void>();
    told_broken_.push_back(kj::mv(waiting.fulfiller));
    return kj::mv(waiting.promise);
  }

  // The stream is gone: the kernel says the end, unless there is no power.
  void let_go() {
    stream_gone_ = true;
    read_ = nullptr;
    if (!silent_) end();
  }

  // ---- what the network does ----

  void go_silent() {
    silent_ = true;
    under_way_packets_.clear();
  }

  void break_down() {
    if (broken_) return;
    broken_ = true;
    under_way_packets_.clear();
    if (read_ != nullptr) read_->fulfiller_.reject(rpc::connection_lost("connection reset"));
    read_ = nullptr;
    if (room_.get() != nullptr) room_->reject(rpc::connection_lost("connection reset"));
    for (auto& told : told_broken_) told->fulfill();
    told_broken_.clear();
  }

  // The way from here to `to` is open again.
  void try_again(const std::string& to) {
    if (other_host_ != to) return;
    for (Packet& packet : under_way_packets_) packet.due = schedule(kRetransmit);
    const SidePointer other = other_.lock();
    if (broken_ && !stream_gone_ && other != nullptr) other->learn_of_reset();
  }

  const std::string& host() const { return host_; }

 private:
  // A write, or the end (no bytes).
  struct Packet {
    std::string bytes;
    Instant sent;
    Instant due;
  };

  void send(std::string bytes) {
    network_.stream_bytes_ += bytes.size();
    const Duration delay = network_.draw_delay(bytes.size());
    const Instant due = schedule(delay);
    under_way_packets_.push_back({std::move(bytes), network_.world_.now(), due});
  }

  // An arrival, not before that of an earlier packet.
  Instant schedule(Duration delay) {
    arrival_ = std::max(arrival_, network_.world_.now() + delay);
    network_.world_.at(arrival_, nullptr, [self = shared_from_this()] { self->arrive(); });
    return arrival_;
  }

  void arrive() {
    if (under_way_packets_.empty() || broken_ || silent_) return;
    const Packet& next = under_way_packets_.front();
    if (next.due > network_.world_.now()) return;
    const SidePointer other = other_.lock();
    const bool known = other != nullptr && !other->silent_ && !other->broken_;
    if (!network_.open(host_, other_host_) || network_.dark(other_host_) || (!known && vanishes_)) {
      // It waits; whoever heals the cut tries again.
      const Instant give_up = next.sent + kGiveUp;
      if (network_.world_.now() >= give_up) {
        break_down_in_process();
      } else {
        network_.world_.at(give_up, nullptr, [self = shared_from_this()] { self->arrive(); });
      }
      return;
    }
    if (!known) {  // nobody there knows this connection, and says so
      network_.world_.after(network_.draw_delay(0), nullptr,
                            [self = shared_from_this()] { self->break_down_in_process(); });
      return;
    }
    const std::string bytes = std::move(under_way_packets_.front().bytes);
    under_way_packets_.pop_front();
    under_way_ -= bytes.size();
    network_.world_.mix(bytes);
    if (room_.get() != nullptr && under_way_ <= kWindowBytes) {
      in_process([self = shared_from_this()] {
        if (self->room_.get() != nullptr) std::exchange(self->room_, nullptr)->fulfill();
      });
    }
    other->in_process([other, bytes] { other->receive(bytes); });
  }

  void learn_of_reset() {
    if (broken_) return;
    network_.world_.after(network_.draw_delay(0), nullptr,
                          [self = shared_from_this()] { self->break_down_in_process(); });
  }

  void receive(const std::string& bytes) {
    if (broken_) return;
    if (bytes.empty()) {
      at_end_ = true;
    } else if (!stream_gone_) {
      arrived_.append(bytes);
    }
    serve_read();
  }

  void serve_read() {
    if (read_ == nullptr) return;
    if (broken_) {
      std::exchange(read_, nullptr)->fulfiller_.reject(rpc::connection_lost("connection reset"));
      return;
    }
    if (arrived_.size() < read_->bytes_min_ && !at_end_) return;
    Read& read = *std::exchange(read_, nullptr);
    const size_t count = std::min(read.bytes_max_, arrived_.size());
    std::memcpy(read.buffer_, arrived_.data(), count);
    arrived_.erase(0, count);
    if (arrived_.empty()) arrived_.shrink_to_fit();  // a window of megabytes, perhaps, each
    read.fulfiller_.fulfill(size_t{count});
  }

  void break_down_in_process() {
    in_process([self = shared_from_this()] { self->break_down(); });
  }
  void in_process(World::Action action) {
    network_.world_.at(network_.world_.now(), process_, std::move(action));
  }

  Network& network_;
  const std::string host_;
  const std::string other_host_;
  const ProcessPointer process_;
  std::weak_ptr<Side> other_;

  std::deque<Packet> under_way_packets_;
  std::size_t under_way_ = 0;  // bytes
  Instant arrival_;            // of the last packet
  bool ended_ = false;
  kj::Own<kj::PromiseFulfiller<void>> room_;  // a write waits for it

  std::string arrived_;
  bool at_end_ = false;
  Read* read_ = nullptr;

  const bool vanishes_;  // what is sent when nobody knows the connection any more
  bool broken_ = false;
  bool silent_ = false;
  bool stream_gone_ = false;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> told_broken_;
};

namespace {

class Stream final : public kj::AsyncIoStream {
 public:
  explicit Stream(std::shared_ptr<Network::Side> side) : side_(std::move(side)) {}
  ~Stream() { side_->let_go(); }
  KJ_DISALLOW_COPY(Stream);

  kj::Promise<size_t> tryRead(void* buffer, size_t bytes_min, size_t bytes_max) override {
    return kj::newAdaptedPromise<size_t, Network::Side::Read>(side_, static_cast<kj::byte*>(buffer),
                                                              bytes_min, bytes_max);
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    return side_->write(std::string(static_cast<const char*>(buffer), size));
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    std::string bytes;
    for (const auto& piece : pieces) bytes.append(piece.asChars().begin(), piece.size());
    return side_->write(std::move(bytes));
  }
  kj::Promise<void> whenWriteDisconnected() override { return side_->when_broken(); }
  void shutdownWrite() override { side_->end(); }
  void abortRead() override {}

 private:
  const std::shared_ptr<Network::Side> side_;
};

}  // namespace

class Network::Port final : public rpc::Listener {
 public:
  Port(Network& network, rpc::Address address, ProcessPointer process)
      : network_(network), address_(std::move(address)), process_(std::move(process)) {
    network_.ports_.emplace(address_, this);
  }
  ~Port() override { stop(); }
  KJ_DISALLOW_COPY(Port);

  void start(AcceptHandler on_accept) override {
    on_accept_ = kj::mv(on_accept);
    accepting_ = true;
  }
  void stop() override {
    const auto found = network_.ports_.find(address_);
    if (found != network_.ports_.end() && found->second == this) network_.ports_.erase(found);
    accepting_ = false;
  }
  const rpc::Address& address() const override { return address_; }
  std::size_t connections() const override { return 0; }
  std::uint64_t refused() const override { return 0; }

  const ProcessPointer& process() const { return process_; }
  bool accepting() const { return accepting_; }
  void accept(SidePointer side, const rpc::Address& from) {
    on_accept_(kj::heap<Stream>(std::move(side)), rpc::PeerInfo{from});
  }

 private:
  Network& network_;
  const rpc::Address address_;
  const ProcessPointer process_;
  AcceptHandler on_accept_;
  bool accepting_ = false;
};

class Network::Socket final : public rpc::Datagrams {
 public:
  Socket(Network& network, rpc::Address address, ProcessPointer process)
      : network_(network), address_(std::move(address)), process_(std::move(process)) {
    network_.sockets_.emplace(address_, this);
  }
  ~Socket() override { stop(); }
  KJ_DISALLOW_COPY(Socket);

  void start(Handler on_packet) override { on_packet_ = std::move(on_packet); }
  void stop() override {
    const auto found = network_.sockets_.find(address_);
    if (found != network_.sockets_.end() && found->second == this) network_.sockets_.erase(found);
  }
  void send(const std::string& to, std::string_view bytes) override {
    const auto target = rpc::parse_address(to);
    if (!target.ok() || find(network_, address_) != this) {
      ++dropped_;
      return;
    }
    network_.datagram_bytes_ += bytes.size();
    const int copies = network_.random_.chance(kDoubled) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      if (network_.random_.chance(network_.quality_.loss)) continue;
      Duration delay = network_.draw_way(bytes.size());
      if (network_.random_.chance(kDelayed)) {
        delay += draw(network_.random_, Duration::zero(), kDelayedBy);
      }
      network_.world_.after(delay, nullptr,
                            [&network = network_, from = address_, to = *target,
                             packet = std::string(bytes)] { arrive(network, from, to, packet); });
    }
  }
  const rpc::Address& address() const override { return address_; }
  std::uint64_t dropped() const override { return dropped_; }

 private:
  static Socket* find(Network& network, const rpc::Address& at) {
    const auto found = network.sockets_.find(at);
    return found == network.sockets_.end() ? nullptr : found->second;
  }
  static void arrive(Network& network, const rpc::Address& from, const rpc::Address& to,
                     const std::string& packet) {
    if (!network.open(from.host, to.host) || network.dark(to.host)) return;
    const Socket* const there = find(network, to);
    if (there == nullptr || !there->on_packet_) return;
    network.world_.mix(packet);
    network.world_.at(network.world_.now(), there->process_, [&network, from, to, packet] {
      Socket* const socket = find(network, to);
      if (socket != nullptr && socket->on_packet_) socket->on_packet_(from, packet);
    });
  }

  Network& network_;
  const rpc::Address address_;
  const ProcessPointer process_;
  Handler on_packet_;
  std::uint64_t dropped_ = 0;
};

// The network as one process has it.
class HostNetwork final : public rpc::Network {
 public:
  using Whole = simulation::Network;

  HostNetwork(Whole& whole, std::string host, ProcessPointer process)
      : whole_(whole), host_(std::move(host)), process_(std::move(process)) {}

  absl::StatusOr<std::unique_ptr<rpc::Listener>> listen(const rpc::Address& address,
                                                        rpc::ListenOptions options) override {
    rpc::Address actual{host_, address.port};
    if (actual.port == 0) actual.port = ++whole_.last_port_;
    if (whole_.ports_.contains(actual)) {
      return absl::FailedPreconditionError("cannot listen on " + rpc::to_string(actual) +
                                           ": address in use; choose another port with " +
                                           options.flag);
    }
    return std::make_unique<Whole::Port>(whole_, actual, process_);
  }

  absl::StatusOr<std::unique_ptr<rpc::Datagrams>> bind_datagrams(const rpc::Address& address,
                                                                 const std::string& flag) override {
    rpc::Address actual{host_, address.port};
    if (actual.port == 0) actual.port = ++whole_.last_port_;
    if (whole_.sockets_.contains(actual)) {
      return absl::FailedPreconditionError("cannot receive packets on " + rpc::to_string(actual) +
                                           ": address in use; choose another port with " + flag);
    }
    return std::make_unique<Whole::Socket>(whole_, actual, process_);
  }

  kj::Promise<kj::Own<kj::AsyncIoStream>> connect(const rpc::Address& address,
                                                  rpc::ConnectOptions options) override {
    auto waiting = kj::newPromiseAndFulfiller<kj::Own<kj::AsyncIoStream>>();
    auto attempt = std::make_shared<Attempt>();
    attempt->to = address;
    attempt->answer = kj::mv(waiting.fulfiller);
    whole_.world_.after(options.timeout, process_, [attempt] {
      if (std::exchange(attempt->over, true)) return;
      attempt->answer->reject(
          rpc::connection_lost("cannot connect to " + rpc::to_string(attempt->to) + ": no answer"));
    });
    whole_.world_.after(whole_.draw_delay(0), nullptr,
                        [this, attempt, alive = std::weak_ptr(alive_)] {
                          if (!alive.expired()) knock(attempt);
                        });
    return kj::mv(waiting.promise);
  }

 private:
  struct Attempt {
    rpc::Address to;
    bool over = false;
    kj::Own<kj::PromiseFulfiller<kj::Own<kj::AsyncIoStream>>> answer;
  };

  // The dial has arrived.
  void knock(const std::shared_ptr<Attempt>& attempt) {
    const std::string& target = attempt->to.host;
    if (attempt->over || !whole_.open(host_, target) || whole_.dark(target)) return;
    const bool answered = whole_.open(target, host_);
    const auto port = whole_.ports_.find(attempt->to);
    if (port == whole_.ports_.end() || !port->second->accepting()) {
      if (!answered) return;
      whole_.world_.after(whole_.draw_delay(0), process_, [attempt] {
        if (std::exchange(attempt->over, true)) return;
        attempt->answer->reject(rpc::connection_lost(
            "cannot connect to " + rpc::to_string(attempt->to) + ": connection refused"));
      });
      return;
    }
    if (!answered) return;
    auto [near, far] = Whole::Side::pair(whole_, host_, process_, target, port->second->process());
    const rpc::Address from{host_, ++whole_.last_port_};
    whole_.world_.at(whole_.world_.now(), port->second->process(),
                     [&whole = whole_, to = attempt->to, far = far, from] {
                       const auto still = whole.ports_.find(to);
                       if (still == whole.ports_.end() || !still->second->accepting()) {
                         far->let_go();
                       } else {
                         still->second->accept(far, from);
                       }
                     });
    whole_.world_.after(whole_.draw_delay(0), process_, [attempt, near = near] {
      if (std::exchange(attempt->over, true) || !attempt->answer->isWaiting()) {
        near->let_go();
      } else {
        attempt->answer->fulfill(kj::heap<Stream>(near));
      }
    });
  }

  Whole& whole_;
  const std::string host_;
  const ProcessPointer process_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

Network::~Network() = default;

std::unique_ptr<rpc::Network> Network::view_of(const std::string& host, ProcessPointer process) {
  return std::make_unique<HostNetwork>(*this, host, std::move(process));
}

Duration Network::draw_way(std::size_t bytes) {
  return draw(random_, quality_.delay_min, quality_.delay_max) +
         std::chrono::nanoseconds(std::uint64_t{1'000'000'000} * bytes / kBytesPerSecond);
}

Duration Network::draw_delay(std::size_t bytes) {
  Duration delay = draw_way(bytes);
  for (Duration again = kRetransmit; random_.chance(quality_.loss) && again < kGiveUp; again *= 2) {
    delay += again;
  }
  return delay;
}

void Network::add(const SidePointer& side) {
  if (sides_.size() >= sides_max_) {
    std::erase_if(sides_, [](const auto& one) { return one.expired(); });
    sides_max_ = 2 * sides_.size() + 64;
  }
  sides_.push_back(side);
}

template <typename Do>
void Network::for_each_side(Do what) {
  std::erase_if(sides_, [](const auto& one) { return one.expired(); });
  const auto sides = sides_;
  for (const auto& side : sides) {
    if (const SidePointer alive = side.lock()) what(*alive);
  }
}

void Network::heal(const std::string& from, const std::string& to) {
  if (cuts_.erase({from, to}) == 0) return;
  for_each_side([&](Side& side) {
    if (side.host() == from) side.try_again(to);
  });
}

void Network::heal_all() {
  const auto cuts = cuts_;
  for (const auto& [from, to] : cuts) heal(from, to);
}

void Network::power_off(const std::string& host) {
  dark_.insert(host);
  for_each_side([&](Side& side) {
    if (side.host() == host) side.go_silent();
  });
}

void Network::power_on(const std::string& host) {
  dark_.erase(host);
  for_each_side([&](Side& side) { side.try_again(host); });
}

}  // namespace grapevine::simulation
