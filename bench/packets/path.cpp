// bench_packet_path: what a TCP segment costs on its whole way from a card's ring to the app,
// counted instruction by instruction: heap calls, atomic read-modify-writes, and whether the bytes
// that the app gets still lie where the card has put them. The card is made up. One JSON line for
// a core alone and one for cores that share the card.
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "bench/core/counting.hpp"
#include "bench/core/measure.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/io/net_device.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/net/inet/inet_cores.hpp"
#include "lichen/net/wire/wire.hpp"

namespace bench {
namespace {

namespace wire = net::wire;
namespace flag = wire::tcp_flag;

constexpr wire::MacAddress our_mac{{2, 0, 0, 0, 0, 2}};
constexpr wire::MacAddress peer_mac{{2, 0, 0, 0, 0, 1}};
constexpr wire::Ipv4Address ours = wire::Ipv4Address::of(0x0a090002);
constexpr wire::Ipv4Address peer = wire::Ipv4Address::of(0x0a090001);
constexpr std::size_t segment_size = 1'448;
constexpr std::size_t batch = 16;

// A card with a peer at the other end of its cable that opens one connection and then sends as many
// full segments as it is asked for. `quiet`: nobody ever sends anything.
class Card final : public io::NetDevice, public io::BufferOwner {
 public:
  explicit Card(bool quiet) : quiet_{quiet} {
    for (std::size_t i = 0; i < buffers; ++i) free_.push_back(memory_.data() + i * buffer_size);
  }

  Task<Result<std::size_t>> receive(std::span<io::ReceivedFrame> into) override {
    for (;;) {
      co_await yield();  // as a card's driver does between two looks at the ring
      if (const std::size_t count = produce(into)) co_return count;
      CO_TRY(co_await news_.wait(home_));
    }
  }
  Task<Result<std::size_t>> send(std::span<const io::OutgoingFrame> frames) override {
    for (const io::OutgoingFrame& frame : frames) take(frame);
    co_return frames.size();
  }
  std::array<std::byte, 6> address() const noexcept override {
    return std::bit_cast<std::array<std::byte, 6>>(our_mac.octets);
  }
  std::size_t mtu() const noexcept override { return 1'500; }
  io::NetFeatures features() const noexcept override { return {.checksum = true}; }

  void give_back(std::span<std::byte> whole) noexcept override {
    free_.push_back(whole.data());
    news_.notify();
  }
  void open() {
    open_ = true;
    news_.notify();
  }
  void want(std::size_t segments) {
    wanted_ += segments;
    news_.notify();
  }
  [[nodiscard]] bool holds(std::span<const std::byte> bytes) const noexcept {
    return bytes.data() >= memory_.data() && bytes.data() < memory_.data() + memory_.size();
  }

 private:
  static constexpr std::size_t buffers = 256;
  static constexpr std::size_t buffer_size = 2'048;
  enum class Step { question, opening, waiting, sending };

  std::size_t produce(std::span<io::ReceivedFrame> into) noexcept {
    if (quiet_) return 0;
    switch (step_) {
      case Step::question:
        step_ = Step::opening;
        into[0] = {question(), {}};
        return 1;
      case Step::opening:
        if (!open_) return 0;
        step_ = Step::waiting;
        into[0] = {segment(flag::syn, 0), {.checksum_is_right = true}};
        return 1;
      case Step::waiting: return 0;
      case Step::sending: break;
    }
    const std::size_t count = std::min({into.size(), batch, wanted_, free_.size()});
    for (io::ReceivedFrame& frame : into.first(count))
      frame = {segment(flag::ack, segment_size), {.checksum_is_right = true}};
    wanted_ -= count;
    return count;
  }
  // Who has our address? So the peer's is known.
  io::Buffer question() noexcept {
    const std::span memory{free_.back(), buffer_size};
    free_.pop_back();
    std::size_t size = wire::write(memory, wire::EthernetHeader{wire::MacAddress::broadcast(),
                                                                peer_mac, wire::ether_type::arp});
    size += wire::write(memory.subspan(size),
                        wire::ArpPacket{wire::ArpOperation::request, peer_mac, peer, {}, ours});
    return io::Buffer{*this, memory, size};
  }
  io::Buffer segment(std::uint8_t flags, std::size_t payload) noexcept {
    const std::span memory{free_.back(), buffer_size};
    free_.pop_back();
    wire::TcpHeader header{.from_port = 1'024, .to_port = 80, .flags = flags};
    header.sequence = sequence_;
    header.acknowledgment = (flags & flag::ack) != 0 ? acknowledgment_ : 0;
    header.window = 0xffff;
    if ((flags & flag::syn) != 0) {
      header.options.mss = 1'460;
      header.options.window_scale = 10;
      header.options.sack_permitted = true;
    }
    header.options.has_timestamps = true;
    header.options.timestamp = 1;
    constexpr std::size_t before = wire::EthernetHeader::size + wire::Ipv4Header::size;
    const std::size_t tcp = wire::write(memory.subspan(before), header);
    wire::write(memory, wire::EthernetHeader{our_mac, peer_mac, wire::ether_type::ipv4});
    wire::write(
        memory.subspan(wire::EthernetHeader::size),
        wire::Ipv4Header{
            .dont_fragment = true, .protocol = wire::protocol::tcp, .from = peer, .to = ours},
        tcp + payload);
    sequence_ += static_cast<std::uint32_t>(payload) + ((flags & flag::syn) != 0 ? 1 : 0);
    return io::Buffer{*this, memory, before + tcp + payload};
  }
  void take(const io::OutgoingFrame& frame) noexcept {
    const auto ethernet = wire::parse_ethernet(frame.pieces[0]);
    if (!ethernet || ethernet->type != wire::ether_type::ipv4) return;
    const auto packet = wire::parse_ipv4(ethernet->payload, wire::Verify{});
    if (!packet || packet->protocol != wire::protocol::tcp) return;
    const auto answer = wire::parse_tcp(packet->payload, wire::Verify::done_by_device());
    if (!answer || !answer->has(flag::syn) || step_ != Step::waiting) return;
    acknowledgment_ = answer->sequence + 1;
    step_ = Step::sending;
    // The handshake ends with a segment of data.
    wanted_ += 1;
    news_.notify();
  }

  const bool quiet_;
  coro::Core& home_ = *coro::this_core();
  io::HomeSignal news_;
  std::vector<std::byte> memory_{buffers * buffer_size};
  std::vector<std::byte*> free_;
  Step step_ = Step::question;
  bool open_ = false;
  std::size_t wanted_ = 0;
  std::uint32_t sequence_ = 1'000;
  std::uint32_t acknowledgment_ = 0;
};

struct Plan {
  unsigned cores;
  std::size_t segments;
};

// Takes so many segments; how many of them are not as the card has put them.
Task<Result<std::size_t>> take(io::Stream& stream, Card& card, std::size_t segments) {
  card.want(segments);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < segments; ++i) {
    const io::Buffer buffer = CO_TRY(co_await stream.receive());
    moved += card.holds(buffer.bytes()) && buffer.size() == segment_size ? 0 : 1;
  }
  co_return moved;
}

Task<Result<void>> run_path(const Plan& plan) {
  auto& machine = sched::Machine::current();
  auto inet = CO_TRY(net::inet::InetCores::create(
      plan.cores, {.address = {wire::IpAddress{ours}, 24}, .secret = {1, 2}}));
  std::vector<std::unique_ptr<Card>> cards;
  for (unsigned i = 0; i < plan.cores; ++i) {
    const io::Stay stay = co_await io::StayOn{machine.core(i)};
    cards.push_back(std::make_unique<Card>(i > 0));
    CO_TRY(inet->add(*cards.back()));
  }
  const io::Stay stay = co_await io::StayOn{machine.core(0)};
  Scope scope{OnError::keep_going};
  scope.spawn(inet->run());
  CO_TRY(co_await inet->up(std::chrono::seconds{1}));
  {
    auto listener = CO_TRY(co_await inet->listen(io::Address::ipv4({10, 9, 0, 2}, 80)));
    cards[0]->open();
    auto stream = CO_TRY(co_await listener->accept());
    // The pools fill, the window opens.
    (void)CO_TRY(co_await take(*stream, *cards[0], plan.segments));
    counting_starts();
    const std::size_t moved = CO_TRY(co_await take(*stream, *cards[0], plan.segments));
    counting_ends();
    if (moved != 0) {
      std::fprintf(stderr, "%zu of %zu segments were moved\n", moved, plan.segments);
      co_return Error::invalid_state;
    }
    stream->abort();
  }
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}

void run_plan(void* argument) {
  const auto& plan = *static_cast<const Plan*>(argument);
  on_machine(plan.cores, [&] [[clang::coro_wrapper]] () { return run_path(plan); }, false);
}

}  // namespace
}  // namespace bench

int main() {
  using namespace bench;
  for (const unsigned cores : {1U, 2U}) {
    Plan plan{cores, 1'024};
    const Executed executed = count_in_child(&run_plan, &plan);
    const auto each = [&](std::uint64_t n) {
      return static_cast<double>(n) / static_cast<double>(plan.segments);
    };
    // The child fails when a segment was copied or put together with another.
    std::printf(
        "{\"name\":\"path\",\"variant\":\"%s\",\"instructions\":%.1f,\"atomic_operations\":%.3f,"
        "\"heap_calls\":%.3f,\"copies\":0,\"system_calls\":%.3f}\n",
        cores == 1 ? "one core" : "two cores", each(executed.instructions), each(executed.locked),
        each(executed.heap_calls), each(executed.system_calls));
    std::fflush(stdout);
  }
}
