// Our own TCP/IP over a TAP device, in a network namespace of the test's own, with the host's stack
// as its peer.
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lichen/driver/linux/host_test.hpp"
#include "lichen/net/inet/inet.hpp"
#include "tests/inet/host_peer.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;
using net::inet::Inet;

struct InetOverTap : testing::Test {
  void SetUp() override {
    if (!has_network_namespace())
      GTEST_SKIP() << "needs /dev/net/tun and the right to make a namespace";
  }
};

// A machine at 10.9.0.2 beside the host, which is 10.9.0.1, for the length of one task.
using Body = Task<Result<void>>(Inet& inet);
template <bool offload>
Task<Result<void>> beside_host(HostSystem& host, Body* body) {
  auto device = CO_TRY(host.open_tap("lichen0", {.offload = offload}));
  configure_tap("lichen0");
  auto inet =
      CO_TRY(Inet::create(*device, {.address = {*net::wire::IpAddress::parse("10.9.0.2"), 24},
                                    .gateway = *net::wire::IpAddress::parse("10.9.0.1"),
                                    .secret = {1, 2}}));
  Scope scope{OnError::keep_going};
  scope.spawn(inet->run());
  const Result<void> outcome = co_await body(*inet);
  // What was closed last is told to the host before the wire is cut.
  CO_TRY(co_await sleep_for(5ms));
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

Task<Result<void>> serve_echo(io::Listener& listener, int connections) {
  Scope scope;
  for (int i = 0; i < connections; ++i) scope.spawn(echo(CO_TRY(co_await listener.accept())));
  co_return co_await scope.join();
}

Task<Result<void>> echoes(Inet& inet) {
  auto listener = CO_TRY(co_await inet.listen(io::Address::ipv4({10, 9, 0, 2}, 7)));
  static const std::vector<std::byte> data = noise(8 << 20);
  std::vector<std::byte> back;
  HostThread client{[&] {
    const HostClient host{7};
    ASSERT_TRUE(host.connected);
    std::thread sender{[&] {
      EXPECT_TRUE(host.send_all(data));
      shutdown(host.fd.get(), SHUT_WR);
    }};
    back = host.receive_all(data.size() + 1);
    sender.join();
  }};
  const Result<void> served = co_await serve_echo(*listener, 1);
  CO_TRY(co_await client.join());
  EXPECT_EQ(back.size(), data.size());
  EXPECT_EQ(std::mismatch(back.begin(), back.end(), data.begin(), data.end()).first - back.begin(),
            static_cast<std::ptrdiff_t>(data.size()));
  co_return served;
}
TEST_F(InetOverTap, EchoesAStream) {
  run_on_host(
      [] [[clang::coro_wrapper]] (HostSystem & host) { return beside_host<true>(host, echoes); });
}
TEST_F(InetOverTap, EchoesAStreamWithoutOffloads) {
  run_on_host(
      [] [[clang::coro_wrapper]] (HostSystem & host) { return beside_host<false>(host, echoes); });
}

Task<Result<void>> many_connections(Inet& inet) {
  auto listener = CO_TRY(co_await inet.listen(io::Address::ipv4({0, 0, 0, 0}, 7)));
  constexpr int count = 300;
  int good = 0;
  HostThread clients{[&] {
    const std::vector<std::byte> data = noise(20'000);
    for (int i = 0; i < count; ++i) {
      const HostClient host{7};
      EXPECT_TRUE(host.connected);
      EXPECT_TRUE(host.send_all(data));
      shutdown(host.fd.get(), SHUT_WR);
      good += host.receive_all(data.size() + 1) == data;
    }
  }};
  const Result<void> served = co_await serve_echo(*listener, count);
  CO_TRY(co_await clients.join());
  EXPECT_EQ(good, count);
  EXPECT_EQ(inet.tcp_statistics().accepted, static_cast<std::uint64_t>(count));
  co_return served;
}
TEST_F(InetOverTap, ServesConnectionAfterConnection) {
  run_on_host([] [[clang::coro_wrapper]] (HostSystem & host) {
    return beside_host<true>(host, many_connections);
  });
}

// Peers whose data nobody reads keep no buffers from others, however small their segments are.
Task<Result<void>> not_read(Inet& inet) {
  auto listener = CO_TRY(co_await inet.listen(io::Address::ipv4({0, 0, 0, 0}, 7)));
  constexpr int silent = 24;  // each would hold 15 of the device's 256 buffers
  std::atomic<bool> sent{false};
  std::vector<std::byte> back;
  const std::vector<std::byte> data = noise(3'000);
  HostThread clients{[&] {
    std::vector<std::unique_ptr<HostClient>> open;
    for (int i = 0; i < silent; ++i) {
      open.push_back(std::make_unique<HostClient>(7));
      const int on = 1;
      setsockopt(open.back()->fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      for (int segment = 0; segment < 20; ++segment) {
        EXPECT_TRUE(open.back()->send_all(std::span{data}.first(400)));
        // The next one is a segment of its own.
        for (int unsent = 1; unsent != 0; std::this_thread::yield())
          if (ioctl(open.back()->fd.get(), SIOCOUTQNSD, &unsent) != 0) break;
      }
    }
    sent = true;
    const HostClient talks{7};
    EXPECT_TRUE(talks.send_all(data));
    shutdown(talks.fd.get(), SHUT_WR);
    back = talks.receive_all(data.size() + 1);
  }};
  std::vector<std::unique_ptr<io::Stream>> streams;
  for (int i = 0; i < silent; ++i) streams.push_back(CO_TRY(co_await listener->accept()));
  while (!sent) CO_TRY(co_await sleep_for(1ms));
  const Result<void> served = co_await serve_echo(*listener, 1);
  CO_TRY(co_await clients.join());
  EXPECT_EQ(back, data);
  co_return served;
}
TEST_F(InetOverTap, WhoIsNotReadKeepsNobodyFromBeingHeard) {
  run_on_host(
      [] [[clang::coro_wrapper]] (HostSystem & host) { return beside_host<true>(host, not_read); });
}

Task<Result<void>> connects(Inet& inet) {
  const Descriptor listener{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const sockaddr_in at = host_address("10.9.0.1", 8'080);
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  EXPECT_EQ(listen(listener.get(), 5), 0);
  HostThread host{[&] {
    const Descriptor fd{accept(listener.get(), nullptr, nullptr)};
    std::array<char, 16> data{};
    EXPECT_EQ(recv(fd.get(), data.data(), 5, MSG_WAITALL), 5);
    EXPECT_EQ(send(fd.get(), data.data(), 5, MSG_NOSIGNAL), 5);
  }};
  auto stream = CO_TRY(co_await inet.connect(io::Address::ipv4({10, 9, 0, 1}, 8'080)));
  CO_TRY(co_await stream->write_all(bytes_of("hello")));
  std::array<std::byte, 16> data;
  CO_TRY(co_await stream->read_exact(std::span{data}.first(5)));
  EXPECT_EQ(text_of(std::span{data}.first(5)), "hello");
  EXPECT_EQ(CO_TRY(co_await stream->read(data)), 0U);
  CO_TRY(co_await host.join());
  // Nobody listens there, and nobody is there.
  EXPECT_TRUE((co_await inet.connect(io::Address::ipv4({10, 9, 0, 1}, 9)))
                  .failed_with(Error::connection_refused));
  EXPECT_FALSE(co_await with_timeout(50ms, inet.connect(io::Address::ipv4({10, 9, 0, 77}, 9))));
  co_return Result<void>{};
}
TEST_F(InetOverTap, ConnectsToTheHost) {
  run_on_host(
      [] [[clang::coro_wrapper]] (HostSystem & host) { return beside_host<true>(host, connects); });
}

Task<Result<void>> datagrams(Inet& inet) {
  auto ours = CO_TRY(co_await inet.bind(io::Address::ipv4({10, 9, 0, 2}, 5'000)));
  const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const sockaddr_in to = host_address("10.9.0.2", 5'000);
  std::vector<std::byte> data = noise(60'000);
  for (const std::size_t size : {0UL, 1UL, 1'472UL, 1'473UL, 9'000UL, 60'000UL}) {
    EXPECT_EQ(
        sendto(fd.get(), data.data(), size, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
        static_cast<ssize_t>(size));
    std::vector<std::byte> got(65'536);
    const io::Received received = CO_TRY(co_await with_timeout(5s, ours->receive(got)));
    EXPECT_EQ(received.size, size);
    EXPECT_TRUE(std::equal(data.begin(), data.begin() + static_cast<long>(size), got.begin()));
    CO_TRY(co_await ours->send(std::span{got}.first(size), received.from));
    // A call that waited would keep the stack from sending, and be ended by its timers.
    ssize_t answer = -1;
    for (unsigned tries = 0; tries < 5'000 && answer < 0; ++tries) {
      CO_TRY(co_await sleep_for(1ms));
      answer = recv(fd.get(), got.data(), got.size(), MSG_DONTWAIT);
    }
    EXPECT_EQ(answer, static_cast<ssize_t>(size));
  }
  co_return Result<void>{};
}
TEST_F(InetOverTap, ExchangesDatagramsOfAllSizes) {
  run_on_host([] [[clang::coro_wrapper]] (HostSystem & host) {
    return beside_host<true>(host, datagrams);
  });
}

// The host's own ping, if it is there: every size, of both families.
Task<Result<void>> pings(Inet&) {
  int failed = -1;
  HostThread host{[&] {
    failed = std::system(
        "for size in 0 8 56 1472 1473 8000 65000; do"
        "  ping -q -c 2 -i 0.01 -W 2 -s $size 10.9.0.2 >/dev/null || exit 1; done");
  }};
  CO_TRY(co_await host.join());
  EXPECT_EQ(failed, 0);
  co_return Result<void>{};
}
TEST_F(InetOverTap, AnswersPings) {
  if (std::system("command -v ping >/dev/null") != 0) GTEST_SKIP() << "ping is not installed";
  run_on_host(
      [] [[clang::coro_wrapper]] (HostSystem & host) { return beside_host<true>(host, pings); });
}

}  // namespace
}  // namespace lichen::driver::test
