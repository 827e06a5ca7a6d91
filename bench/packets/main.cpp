// bench_packets: what the formats and TCP cost a packet, without a device or a network layer. One
// JSON line a result: ns and, where the machine counts them, instructions per operation, and the
// calls for memory in the whole measured part.
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "lichen/net/tcp/engine.hpp"
#include "lichen/net/wire/wire.hpp"

namespace lichen::net::tcp {
namespace {

std::uint64_t clock_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

// Instructions of this thread in user mode; always 0 where the machine does not count.
class Instructions {
 public:
  Instructions() {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
    attributes.exclude_kernel = 1;
    fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
  }
  ~Instructions() {
    if (fd_ >= 0) close(fd_);
  }
  Instructions(const Instructions&) = delete;
  Instructions& operator=(const Instructions&) = delete;
  [[nodiscard]] std::uint64_t read() const {
    std::uint64_t count = 0;
    if (fd_ < 0 || ::read(fd_, &count, sizeof count) != sizeof count) return 0;
    return count;
  }

 private:
  int fd_;
};

class CountedMemory final : public Memory {
 public:
  void* allocate(std::size_t size) noexcept override {
    ++calls;
    return std::malloc(size);
  }
  void free(void* memory, std::size_t) noexcept override { std::free(memory); }
  std::uint64_t calls = 0;
};

// A ring of receive buffers, as a driver has it.
class Buffers final : public io::BufferOwner {
 public:
  static constexpr std::size_t size = 2'048;
  explicit Buffers(std::size_t count) : memory_(count * size) {
    free_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) free_.push_back(memory_.data() + i * size);
  }
  io::Buffer take(std::size_t used) {
    if (free_.empty()) std::abort();  // something was lost
    std::byte* const at = free_.back();
    free_.pop_back();
    return io::Buffer{*this, {at, size}, used};
  }
  void give_back(std::span<std::byte> whole) noexcept override { free_.push_back(whole.data()); }

 private:
  std::vector<std::byte> memory_;
  std::vector<std::byte*> free_;
};

constexpr Endpoint here{wire::Ipv4Address::of(0xc0000201), 80};
constexpr Endpoint there{wire::Ipv4Address::of(0xc0000202), 1'024};

// One engine with one connection whose peer is made up.
class Bench final : public Output, public Observer {
 public:
  explicit Bench(std::uint32_t burst)
      : config_{make_config(burst)}, engine_{config_, memory, *this, *this, base::HashKey{1, 2}} {
    listener_.local = {{}, 80};
    listener_.backlog = 1;
    engine_.listen(listener_).ignore();
    wire::TcpSegment segment = from_peer(wire::tcp_flag::syn);
    segment.options.mss = 1'460;
    segment.options.sack_permitted = true;
    segment.options.window_scale = 10;
    engine_.input(now, {here, there}, segment, {});
    ++sequence;
    engine_.input(now, {here, there}, from_peer(wire::tcp_flag::ack), {});
    connection = engine_.take(listener_, this);
    if (connection == nullptr) std::abort();
    for (int i = 0; i < 100; ++i) receive(1);  // our window opens
  }
  ~Bench() {
    engine_.release(now, *connection);
    engine_.close(now, listener_);
  }

  bool transmit(const Outgoing& segment) noexcept override {
    ++transmitted;
    payload += segment.payload_size;
    acknowledgment = segment.header.sequence + segment.payload_size +
                     (segment.header.has(wire::tcp_flag::syn) ? 1 : 0);
    timestamp = segment.header.options.timestamp;
    return true;
  }
  void changed(Connection&, std::uint8_t) noexcept override {}
  void acceptable(Listener&) noexcept override {}

  wire::TcpSegment from_peer(std::uint8_t flags) const {
    wire::TcpSegment segment;
    segment.from_port = there.port;
    segment.to_port = here.port;
    segment.flags = flags;
    segment.sequence = sequence;
    segment.acknowledgment = acknowledgment;
    segment.window = 0xffff;
    segment.options.has_timestamps = true;
    segment.options.timestamp = static_cast<std::uint32_t>(now / millisecond);
    segment.options.timestamp_echo = timestamp;
    return segment;
  }
  // `count` full segments in a batch, and the app takes what has come.
  void receive(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      wire::TcpSegment segment = from_peer(wire::tcp_flag::ack);
      io::Buffer buffer = buffers_.take(1'448);
      segment.payload = buffer.bytes();
      engine_.input(now, {here, there}, segment, std::move(buffer));
      sequence += 1'448;
    }
    while (auto buffer = connection->receive()) {
      if (buffer->empty()) break;
    }
    engine_.flush(now);
    now += 1'000 * count;
  }
  // The app writes so much, and everything that is sent is acknowledged.
  void send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      if (const auto size = connection->write(now, bytes)) bytes = bytes.subspan(*size);
      engine_.touched(now, *connection);
      now += 10'000;
      engine_.input(now, {here, there}, from_peer(wire::tcp_flag::ack), {});
      engine_.flush(now);
    }
  }
  // A request of 100 bytes comes and an answer of 100 goes, with the acknowledgment on it.
  void answer(std::span<const std::byte> bytes) {
    wire::TcpSegment segment = from_peer(wire::tcp_flag::ack | wire::tcp_flag::psh);
    io::Buffer buffer = buffers_.take(100);
    segment.payload = buffer.bytes();
    engine_.input(now, {here, there}, segment, std::move(buffer));
    sequence += 100;
    connection->receive().ignore();
    connection->write(now, bytes).ignore();
    engine_.touched(now, *connection);
    now += 100'000;
  }

  CountedMemory memory;
  std::uint64_t now = second;
  std::uint32_t sequence = 1'000;
  std::uint32_t acknowledgment = 0;
  std::uint32_t timestamp = 0;
  std::uint64_t transmitted = 0;
  std::uint64_t payload = 0;
  Connection* connection = nullptr;

 private:
  static EngineConfig make_config(std::uint32_t burst) {
    EngineConfig config;
    config.connections = 1'024;
    // Room for all of a batch from the start.
    config.connection.receive_buffer = 1024 * 1024;
    config.connection.largest_burst = burst;
    config.connection.no_delay = true;
    config.connection.send_buffer = 4 * 1024 * 1024;
    return config;
  }

  EngineConfig config_;
  Buffers buffers_{256};
  Engine engine_;
  Listener listener_;
};

// The name of the only measurement to be made; null: all.
const char* chosen = nullptr;

// Median of `rounds` runs of `work()`, which does `operations`; the first warms up.
template <class Work>
void measure(const char* name, double operations, const std::uint64_t* memory_calls, Work work) {
  if (chosen != nullptr && std::strcmp(name, chosen) != 0) return;
  constexpr int rounds = 9;
  const Instructions instructions;
  std::vector<double> times;
  std::vector<double> counts;
  work();
  const std::uint64_t calls = memory_calls != nullptr ? *memory_calls : 0;
  for (int i = 0; i < rounds; ++i) {
    const std::uint64_t count = instructions.read();
    const std::uint64_t start = clock_ns();
    work();
    times.push_back(static_cast<double>(clock_ns() - start) / operations);
    counts.push_back(static_cast<double>(instructions.read() - count) / operations);
  }
  std::ranges::nth_element(times, times.begin() + rounds / 2);
  std::ranges::nth_element(counts, counts.begin() + rounds / 2);
  char count[32] = "null";
  if (counts[rounds / 2] > 0) std::snprintf(count, sizeof count, "%.0f", counts[rounds / 2]);
  std::printf(
      "{\"name\":\"packets\",\"variant\":\"%s\",\"ns_per_op\":%.1f,\"instructions_per_op\":%s,"
      "\"memory_calls\":%llu}\n",
      name, times[rounds / 2], count,
      static_cast<unsigned long long>(memory_calls != nullptr ? *memory_calls - calls : 0));
  std::fflush(stdout);
}

void measure_formats() {
  std::vector<std::byte> packet(1'500);
  wire::TcpHeader header{.from_port = 1, .to_port = 2, .flags = wire::tcp_flag::ack};
  header.options.has_timestamps = true;
  const auto write = [&] {
    const std::size_t size = wire::write(std::span{packet}.subspan(wire::Ipv4Header::size), header);
    wire::write(packet,
                wire::Ipv4Header{.protocol = wire::protocol::tcp,
                                 .from = here.address.ipv4(),
                                 .to = there.address.ipv4()},
                packet.size() - wire::Ipv4Header::size);
    const auto tcp = std::span{packet}.subspan(wire::Ipv4Header::size);
    wire::Sum sum =
        wire::pseudo_header(here.address, there.address, wire::protocol::tcp, tcp.size());
    sum.add(tcp.subspan(size));
    wire::seal<wire::TcpHeader>(tcp.first(size), sum);
  };
  write();
  constexpr int count = 200'000;
  std::uint64_t taken = 0;
  const auto parse = [&](bool by_device) {
    for (int i = 0; i < count; ++i) {
      asm volatile("" ::: "memory");
      const auto ip = wire::parse_ipv4(packet, wire::Verify{});
      if (!ip) std::abort();
      const auto verify = by_device ? wire::Verify::done_by_device()
                                    : wire::Verify{wire::pseudo_header(
                                          ip->from, ip->to, ip->protocol, ip->payload.size())};
      const auto segment = wire::parse_tcp(ip->payload, verify);
      if (!segment) std::abort();
      taken += segment->payload.size();
    }
  };
  measure("parse, sums by the device", count, nullptr, [&] { parse(true); });
  measure("parse and sum, 1500 B", count, nullptr, [&] { parse(false); });
  measure("write and sum, 1500 B", count, nullptr, [&] {
    for (int i = 0; i < count; ++i) {
      asm volatile("" ::: "memory");
      write();
    }
  });
  asm volatile("" ::"r"(taken));
}

void measure_connections() {
  constexpr std::size_t batches = 4'000;
  for (const std::size_t batch : {1, 2, 16, 64}) {
    Bench bench{0};
    char name[64];
    std::snprintf(name, sizeof name, "segment in order, batches of %zu", batch);
    measure(name, static_cast<double>(batches * batch), &bench.memory.calls, [&] {
      for (std::size_t i = 0; i < batches; ++i) bench.receive(batch);
    });
  }
  const std::vector<std::byte> bytes(1024 * 1024);
  for (const std::uint32_t burst : {0u, 65'160u}) {
    Bench bench{burst};
    for (int i = 0; i < 5; ++i) bench.send(bytes);  // the window opens
    const double segments = static_cast<double>(bytes.size()) * 50 / 1'448;
    measure(burst == 0 ? "segment sent" : "segment sent in bursts of 45", segments,
            &bench.memory.calls, [&] {
              for (int i = 0; i < 50; ++i) bench.send(bytes);
            });
  }
  Bench bench{0};
  measure("request and answer of 100 B", 100'000, &bench.memory.calls, [&] {
    for (int i = 0; i < 100'000; ++i) bench.answer(std::span{bytes}.first(100));
  });
}

}  // namespace
}  // namespace lichen::net::tcp

// With an argument: only the variant of that name.
int main(int count, char** words) {
  if (count > 1) lichen::net::tcp::chosen = words[1];
  lichen::net::tcp::measure_formats();
  lichen::net::tcp::measure_connections();
}
