// Our own TCP/IP over two TAP devices, with the host's stack at the other end of both.
#include <array>
#include <memory>
#include <vector>

#include "lichen/driver/linux/host_test.hpp"
#include "lichen/net/inet/inet_cores.hpp"
#include "tests/inet/host_peer.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;
using net::inet::InetCores;

struct InetOverTwoTaps : testing::Test {
  void SetUp() override {
    if (!has_network_namespace())
      GTEST_SKIP() << "needs /dev/net/tun and the right to make a namespace";
  }
};

net::wire::Prefix own(const char* address) { return {*net::wire::IpAddress::parse(address), 24}; }

// A machine of one core at 10.9.0.2 and 10.9.1.2, for the length of one task. The second device may
// have no offloads.
using Body = Task<Result<void>>(InetCores& inet);
template <bool offload>
Task<Result<void>> beside_host(HostSystem& host, Body* body,
                               net::wire::Prefix first_address = own("10.9.0.2")) {
  auto first = CO_TRY(host.open_tap("lichen0", {.offload = true}));
  auto second = CO_TRY(host.open_tap("lichen1", {.offload = offload}));
  configure_tap("lichen0");
  configure_tap("lichen1", "10.9.1.1");
  net::inet::InetOptions options{.address = first_address, .secret = {1, 2}};
  options.others[0].address = own("10.9.1.2");
  auto inet = CO_TRY(InetCores::create(1, options));
  CO_TRY(inet->add(std::array{first.get(), second.get()}));
  Scope scope{OnError::keep_going};
  scope.spawn(inet->run());
  const Result<void> outcome = co_await body(*inet);
  CO_TRY(co_await sleep_for(5ms));  // what was closed last is told to the host
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

std::uint64_t received(InetCores& inet, std::size_t device) {
  return inet.on(0).counters(device).frames_in;
}

// At the same time over both, so that what one device gives back is not taken for the other's.
Task<Result<void>> serves_both(InetCores& inet) {
  auto listener = CO_TRY(co_await inet.listen(io::Address::ipv4({0, 0, 0, 0}, 7)));
  static const std::vector<std::byte> data = noise(4 << 20);
  const auto talk = [](const char* address) {
    return [address] {
      const HostClient host{7, address};
      ASSERT_TRUE(host.connected);
      std::thread sender{[&] {
        EXPECT_TRUE(host.send_all(data));
        shutdown(host.fd.get(), SHUT_WR);
      }};
      EXPECT_EQ(host.receive_all(data.size() + 1) == data, true) << address;
      sender.join();
    };
  };
  HostThread to_first{talk("10.9.0.2")};
  HostThread to_second{talk("10.9.1.2")};
  Scope scope;
  for (int i = 0; i < 2; ++i) scope.spawn(echo(CO_TRY(co_await listener->accept())));
  const Result<void> served = co_await scope.join();
  CO_TRY(co_await to_first.join());
  CO_TRY(co_await to_second.join());
  // Each came by the device whose address it was for.
  EXPECT_GT(received(inet, 0), data.size() / 65'536);
  EXPECT_GT(received(inet, 1), data.size() / 65'536);
  co_return served;
}
TEST_F(InetOverTwoTaps, ServesOverBothAtOnce) {
  run_on_host([] [[clang::coro_wrapper]] (HostSystem & host) {
    return beside_host<true>(host, serves_both);
  });
}
TEST_F(InetOverTwoTaps, ServesOverOneWithoutOffloads) {
  run_on_host([] [[clang::coro_wrapper]] (HostSystem & host) {
    return beside_host<false>(host, serves_both);
  });
}

// Whoever is asked, and by which address: the routes say.
Task<Result<void>> takes_the_way(InetCores& inet) {
  for (const std::uint8_t network : {0, 1}) {
    const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto at =
        network == 0 ? host_address("10.9.0.1", 4'000) : host_address("10.9.1.1", 4'000);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    const timeval limit{.tv_sec = 5, .tv_usec = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    auto ours = CO_TRY(co_await inet.bind(io::Address::ipv4({0, 0, 0, 0}, 0)));
    CO_TRY(
        co_await ours->send(bytes_of("over here"), io::Address::ipv4({10, 9, network, 1}, 4'000)));
    sockaddr_in from{};
    std::array<char, 16> got{};
    HostThread host{[&] {
      socklen_t size = sizeof from;
      EXPECT_EQ(
          recvfrom(fd.get(), got.data(), got.size(), 0, reinterpret_cast<sockaddr*>(&from), &size),
          9);
    }};
    CO_TRY(co_await host.join());
    const auto expected = network == 0 ? host_address("10.9.0.2", 0) : host_address("10.9.1.2", 0);
    EXPECT_EQ(from.sin_addr.s_addr, expected.sin_addr.s_addr);
  }
  EXPECT_TRUE(
      (co_await inet.connect(io::Address::ipv4({10, 9, 7, 1}, 9))).failed_with(Error::unreachable));
  co_return Result<void>{};
}
TEST_F(InetOverTwoTaps, TakesTheWayThatRoutesTell) {
  run_on_host([] [[clang::coro_wrapper]] (HostSystem & host) {
    return beside_host<true>(host, takes_the_way);
  });
}

// The other device goes on, and what would go by the one that is gone has no way.
Task<Result<void>> outlives(InetCores& inet) {
  auto listener = CO_TRY(co_await inet.listen(io::Address::ipv4({0, 0, 0, 0}, 7)));
  EXPECT_EQ(std::system("ip link delete lichen1"), 0);
  const io::Address gone = io::Address::ipv4({10, 9, 1, 1}, 9);
  while (!(co_await with_timeout(10ms, inet.connect(gone))).failed_with(Error::unreachable))
    CO_TRY(co_await sleep_for(1ms));
  HostThread client{[] {
    const HostClient host{7};
    EXPECT_TRUE(host.connected);
    EXPECT_TRUE(host.send_all(bytes_of("still there")));
    shutdown(host.fd.get(), SHUT_WR);
    EXPECT_EQ(text_of(host.receive_all(16)), "still there");
  }};
  const Result<void> served = co_await echo(CO_TRY(co_await listener->accept()));
  CO_TRY(co_await client.join());
  co_return served;
}
TEST_F(InetOverTwoTaps, OneOutlivesTheOther) {
  run_on_host(
      [] [[clang::coro_wrapper]] (HostSystem & host) { return beside_host<true>(host, outlives); });
}

// Nobody leases an address at the first device.
Task<Result<void>> is_up_by_one(InetCores& inet) {
  CO_TRY(co_await inet.up(50ms));
  EXPECT_TRUE(inet.on(0).current_address(0).is_unspecified());
  EXPECT_EQ(inet.service_address(7), io::Address::ipv4({0, 0, 0, 0}, 7));
  auto listener = CO_TRY(co_await inet.listen(inet.service_address(7)));
  HostThread client{[] {
    const HostClient host{7, "10.9.1.2"};
    EXPECT_TRUE(host.connected);
    EXPECT_TRUE(host.send_all(bytes_of("by the other")));
    shutdown(host.fd.get(), SHUT_WR);
    EXPECT_EQ(text_of(host.receive_all(16)), "by the other");
  }};
  const Result<void> served = co_await echo(CO_TRY(co_await listener->accept()));
  CO_TRY(co_await client.join());
  co_return served;
}
TEST_F(InetOverTwoTaps, OneAddressIsEnough) {
  run_on_host([] [[clang::coro_wrapper]] (HostSystem & host) {
    return beside_host<true>(host, is_up_by_one, {});
  });
}

// Nor is a machine known twice by one address.
Task<Result<void>> refuses(HostSystem& host) {
  auto first = CO_TRY(host.open_tap("lichen0", {}));
  auto second = CO_TRY(host.open_tap("lichen1", {}));
  net::inet::InetOptions options{.address = own("10.9.0.2"), .secret = {1, 2}};
  options.others[0].address = own("10.9.0.2");
  auto twice = CO_TRY(InetCores::create(1, options));
  EXPECT_TRUE(twice->add(std::array{first.get(), second.get()}).failed_with(Error::already_exists));
  auto many = CO_TRY(InetCores::create(1, options));
  const std::vector<io::NetDevice*> five(net::inet::Link::most + 1, first.get());
  EXPECT_TRUE(many->add(five).failed_with(Error::limit_reached));
  co_return Result<void>{};
}
TEST_F(InetOverTwoTaps, RefusesTwoOfOneAddress) { run_on_host(refuses); }

}  // namespace
}  // namespace lichen::driver::test
