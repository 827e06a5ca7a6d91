// A TAP device in a network namespace of the test's own, with the host's stack at its other end.
#include "lichen/driver/linux/tap.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

#include "lichen/driver/linux/host_test.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;
using Frame = std::vector<std::byte>;

constexpr std::size_t header_size = 14 + 20 + 8;  // Ethernet, IPv4, UDP

struct Tap : testing::Test {
  void SetUp() override {
    if (!has_network_namespace())
      GTEST_SKIP() << "needs /dev/net/tun and the right to make a namespace";
  }
};

// A UDP socket of the host's stack.
Descriptor host_socket(std::uint16_t port) {
  Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  return fd;
}

bool send_from_host(const Descriptor& socket, std::span<const std::byte> data) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(7);
  to.sin_addr.s_addr = inet_addr("10.9.0.2");
  return sendto(socket.get(), data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&to),
                sizeof to) == static_cast<ssize_t>(data.size());
}

std::uint16_t word_at(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[at]) << 8 |
                                    std::to_integer<unsigned>(bytes[at + 1]));
}
void put(Frame& frame, std::initializer_list<int> octets) {
  for (const int octet : octets) frame.push_back(static_cast<std::byte>(octet));
}

// "10.9.0.2 is here", to whoever asks (RFC 826).
Frame arp_reply(const io::NetDevice& device, std::span<const std::byte> request) {
  Frame frame(request.begin() + 6, request.begin() + 12);
  const auto ours = device.address();
  frame.insert(frame.end(), ours.begin(), ours.end());
  put(frame, {8, 6, 0, 1, 8, 0, 6, 4, 0, 2});
  frame.insert(frame.end(), ours.begin(), ours.end());
  put(frame, {10, 9, 0, 2});
  frame.insert(frame.end(), request.begin() + 22, request.begin() + 32);
  return frame;
}

Task<Result<void>> send_one(io::NetDevice& device, std::span<const std::byte> frame,
                            io::FrameWork work = {}) {
  const std::array<std::span<const std::byte>, 1> pieces{frame};
  const std::array<io::OutgoingFrame, 1> frames{io::OutgoingFrame{pieces, work}};
  EXPECT_EQ(CO_TRY(co_await device.send(frames)), 1U);
  co_return Result<void>{};
}

// Receives until a UDP datagram comes; answers who asks for our address. The rest is the host's
// chatter (IPv6 solicitations).
Task<Result<io::ReceivedFrame>> next_datagram(io::NetDevice& device) {
  for (;;) {
    std::array<io::ReceivedFrame, 1> frames;
    CO_TRY(co_await device.receive(frames));
    const std::span<const std::byte> bytes = frames[0].bytes.bytes();
    if (word_at(bytes, 12) == 0x0806) CO_TRY(co_await send_one(device, arp_reply(device, bytes)));
    if (word_at(bytes, 12) == 0x0800 && bytes[23] == std::byte{17}) co_return std::move(frames[0]);
  }
}

Task<Result<void>> echoes(HostSystem& host) {
  auto device = CO_TRY(host.open_tap("lichen0"));
  configure_tap("lichen0");
  EXPECT_TRUE(device->features().checksum);
  const Descriptor socket = host_socket(4'000);
  std::array<std::byte, 600> data{};
  for (int round = 0; round < 100; ++round) {
    data[0] = static_cast<std::byte>(round);
    EXPECT_TRUE(send_from_host(socket, data));
    const io::ReceivedFrame seen = CO_TRY(co_await next_datagram(*device));
    const std::span<const std::byte> bytes = seen.bytes.bytes();
    EXPECT_EQ(bytes.size(), header_size + data.size());
    EXPECT_EQ(bytes[header_size], data[0]);
    EXPECT_TRUE(seen.work.needs_checksum);
    EXPECT_EQ(seen.work.checksum_start, 14 + 20);
    EXPECT_EQ(seen.work.checksum_offset, 6);

    // Back to where it came from, in two pieces, without a UDP checksum (RFC 768).
    Frame head(bytes.begin(), bytes.begin() + header_size);
    std::swap_ranges(head.begin(), head.begin() + 6, head.begin() + 6);
    std::swap_ranges(head.begin() + 26, head.begin() + 30, head.begin() + 30);
    std::swap_ranges(head.begin() + 34, head.begin() + 36, head.begin() + 36);
    head[40] = head[41] = std::byte{};
    const std::array<std::span<const std::byte>, 2> pieces{head, bytes.subspan(header_size)};
    const std::array<io::OutgoingFrame, 1> frames{io::OutgoingFrame{pieces, {}}};
    EXPECT_EQ(CO_TRY(co_await device->send(frames)), 1U);
    std::array<std::byte, 1'000> back;
    EXPECT_EQ(recv(socket.get(), back.data(), back.size(), 0), 600);
    EXPECT_EQ(back[0], data[0]);
  }
  co_return Result<void>{};
}
TEST_F(Tap, CarriesDatagramsBothWays) { run_on_host(echoes); }

Task<Result<void>> receives_while_buffers_are_held(HostSystem& host) {
  auto device = CO_TRY(host.open_tap("lichen0", {.frames = 8}));
  configure_tap("lichen0");
  const Descriptor socket = host_socket(4'000);
  std::array<std::byte, 100> data{};
  EXPECT_TRUE(send_from_host(socket, data));
  CO_TRY(co_await next_datagram(*device));
  std::vector<io::ReceivedFrame> held;
  for (int i = 0; i < 40; ++i) {
    EXPECT_TRUE(send_from_host(socket, data));
    if (i < 8 || i >= 30) {
      auto received = co_await with_timeout(i < 8 ? 5s : 20ms, next_datagram(*device));
      if (received) held.push_back(*std::move(received));
    }
    if (i == 30) held.clear();
  }
  EXPECT_LE(held.size(), 8U);
  held.clear();
  // Whatever was dropped, it goes on.
  EXPECT_TRUE(send_from_host(socket, data));
  EXPECT_TRUE(co_await with_timeout(5s, next_datagram(*device)));
  co_return Result<void>{};
}
TEST_F(Tap, GoesOnAfterAllBuffersWereHeld) { run_on_host(receives_while_buffers_are_held); }

Task<Result<void>> many(HostSystem& host) {
  auto device = CO_TRY(host.open_tap("lichen0"));
  configure_tap("lichen0");
  const Descriptor socket = host_socket(4'000);
  std::array<std::byte, 1'000> data{};
  EXPECT_TRUE(send_from_host(socket, data));
  CO_TRY(co_await next_datagram(*device));
  std::size_t received = 0;
  for (int burst = 0; burst < 100; ++burst) {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(send_from_host(socket, data));
    for (std::size_t of_burst = 0; of_burst < 100;) {
      std::array<io::ReceivedFrame, 16> frames;
      const std::size_t count = CO_TRY(co_await with_timeout(5s, device->receive(frames)));
      for (const io::ReceivedFrame& frame : std::span{frames}.first(count))
        of_burst += frame.bytes.size() == header_size + data.size();
      received += count;
    }
  }
  EXPECT_GE(received, 10'000U);
  co_return Result<void>{};
}
TEST_F(Tap, LosesNothingThatFitsItsQueue) { run_on_host(many); }

// Frames that the host takes for itself are counted by its device; a batch keeps its order.
Task<Result<void>> batches(HostSystem& host) {
  auto device = CO_TRY(host.open_tap("lichen0"));
  configure_tap("lichen0");
  const Descriptor socket = host_socket(4'000);
  std::array<std::byte, 4> data{};
  EXPECT_TRUE(send_from_host(socket, data));
  const io::ReceivedFrame seen = CO_TRY(co_await next_datagram(*device));
  const std::span<const std::byte> bytes = seen.bytes.bytes();
  Frame head(bytes.begin(), bytes.begin() + header_size);
  std::swap_ranges(head.begin(), head.begin() + 6, head.begin() + 6);
  std::swap_ranges(head.begin() + 26, head.begin() + 30, head.begin() + 30);
  std::swap_ranges(head.begin() + 34, head.begin() + 36, head.begin() + 36);
  head[40] = head[41] = std::byte{};
  constexpr std::size_t count = io::NetDevice::most_frames;
  std::array<std::array<std::byte, 4>, count> numbers;
  std::array<std::array<std::span<const std::byte>, 2>, count> pieces;
  std::vector<io::OutgoingFrame> frames;
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i].fill(static_cast<std::byte>(i));
    pieces[i] = {head, numbers[i]};
    frames.push_back({pieces[i], {}});
  }
  EXPECT_EQ(CO_TRY(co_await device->send(frames)), count);
  for (std::size_t i = 0; i < count; ++i) {
    std::array<std::byte, 8> back;
    EXPECT_EQ(recv(socket.get(), back.data(), back.size(), 0), 4);
    EXPECT_EQ(back[0], static_cast<std::byte>(i));
  }
  frames.push_back(frames[0]);
  EXPECT_TRUE((co_await device->send(frames)).failed_with(Error::too_large));
  EXPECT_EQ(CO_TRY(co_await device->send({})), 0U);
  co_return Result<void>{};
}
TEST_F(Tap, SendsBatchesInOrder) { run_on_host(batches); }

Task<Result<void>> stops(HostSystem& host) {
  auto device = CO_TRY(host.open_tap("lichen0"));
  configure_tap("lichen0");
  auto receive_all = [](io::NetDevice& from) -> Task<Result<void>> {
    for (;;) {
      std::array<io::ReceivedFrame, 4> frames;
      CO_TRY(co_await from.receive(frames));
    }
  };
  Scope scope{OnError::keep_going};
  scope.spawn(receive_all(*device));
  CO_TRY(co_await sleep_for(5ms));
  std::array<io::ReceivedFrame, 1> frames;
  EXPECT_TRUE((co_await device->receive(frames)).failed_with(Error::busy));
  EXPECT_TRUE((co_await device->receive({})).failed_with(Error::busy));
  scope.request_stop();
  (co_await scope.join()).ignore();
  EXPECT_TRUE((co_await device->receive({})).failed_with(Error::invalid_argument));
  co_return Result<void>{};
}
TEST_F(Tap, AWaitForFramesIsStopped) { run_on_host(stops); }

Task<Result<void>> refusals(HostSystem& host) {
  EXPECT_TRUE(host.open_tap("").failed_with(Error::invalid_argument));
  EXPECT_TRUE(host.open_tap("a/b").failed_with(Error::invalid_argument));
  EXPECT_TRUE(host.open_tap("sixteen-letters-").failed_with(Error::invalid_argument));
  EXPECT_TRUE(host.open_tap("lo").failed_with(Error::invalid_argument));
  auto device = CO_TRY(host.open_tap("lichen0"));
  EXPECT_TRUE(host.open_tap("lichen0").failed_with(Error::busy));
  // A device that is down takes no frames.
  const Frame frame(60);
  const std::array<std::span<const std::byte>, 1> pieces{frame};
  const std::array<io::OutgoingFrame, 1> frames{io::OutgoingFrame{pieces, {}}};
  EXPECT_FALSE(co_await device->send(frames));
  co_return Result<void>{};
}
TEST_F(Tap, SaysWhyItCannotBeOpened) { run_on_host(refusals); }

}  // namespace
}  // namespace lichen::driver::test
