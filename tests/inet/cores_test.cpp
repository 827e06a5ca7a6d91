// Our own TCP/IP on several cores that share one TAP device, with the host's stack as its peer.
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "lichen/coro/event.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/driver/linux/host_test.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/net/inet/device_share.hpp"
#include "lichen/net/inet/inet_cores.hpp"
#include "lichen/sched/machine.hpp"
#include "tests/inet/host_peer.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;
using net::inet::InetCores;

constexpr unsigned cores = 3;

// With a queue for each core; with one, whose descriptor all send by; with one that is of the first
// core, to which all go to send.
enum class Queues : std::uint8_t { several, one, visited };

struct InetOnCores : testing::TestWithParam<Queues> {
  void SetUp() override {
    if (!has_network_namespace())
      GTEST_SKIP() << "needs /dev/net/tun and the right to make a namespace";
  }
};

coro::Core& core(unsigned index) { return sched::Machine::current().core(index); }

using Body = Task<Result<void>>(InetCores& inet);

// A machine at 10.9.0.2 beside the host, which is 10.9.0.1, for the length of one task.
Task<Result<void>> beside_host(HostSystem& host, Queues kind, Body* body) {
  coro::Mutex sending;
  std::unique_ptr<io::NetDevice> device;  // of Queues::visited
  std::vector<std::unique_ptr<io::NetDevice>> queues;
  const TapOptions options{.several_queues = kind == Queues::several};
  auto inet =
      CO_TRY(InetCores::create(cores, {.address = {*net::wire::IpAddress::parse("10.9.0.2"), 24},
                                       .gateway = *net::wire::IpAddress::parse("10.9.0.1"),
                                       .secret = {1, 2}}));
  for (unsigned i = 0; i < cores; ++i) {
    const io::Stay stay = co_await io::StayOn{core(i)};
    if (i == 0 && kind == Queues::visited) device = CO_TRY(host.open_tap("lichen0", options));
    if (kind == Queues::visited)
      queues.push_back(std::make_unique<net::inet::DeviceShare>(*device, sending, i == 0));
    else
      queues.push_back(CO_TRY(i == 0 || options.several_queues
                                  ? host.open_tap("lichen0", options)
                                  : host.open_tap_beside(*queues[0], options)));
    CO_TRY(inet->add(*queues[i]));
  }
  configure_tap("lichen0");
  Scope scope{OnError::keep_going};
  scope.spawn(inet->run());
  Result<void> outcome = co_await inet->up(1s);
  if (outcome) outcome = co_await body(*inet);
  // What was closed last is told to the host before the wire is cut.
  CO_TRY(co_await sleep_for(5ms));
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

template <Queues kind, Body* body>
[[clang::coro_wrapper]] Task<Result<void>> over(HostSystem& host) {
  return beside_host(host, kind, body);
}
template <Body* body>
void run_over(Queues kind) {
  static constexpr std::array ways = {&over<Queues::several, body>, &over<Queues::one, body>,
                                      &over<Queues::visited, body>};
  run_on_host(ways[static_cast<std::size_t>(kind)], {.cores = cores});
}

struct Servers {
  std::array<unsigned, cores> accepted{};
  std::array<std::unique_ptr<io::Listener>, cores> listeners;

  [[nodiscard]] unsigned all() const {
    unsigned sum = 0;
    for (const unsigned one : accepted) sum += one;
    return sum;
  }
  std::array<Event, cores> listening;

  Task<Result<void>> started(unsigned first, unsigned last) {
    for (unsigned i = first; i < last; ++i) CO_TRY(co_await listening[i].wait());
    co_return Result<void>{};
  }
  Task<Result<void>> close(unsigned i) {
    const io::Stay stay = co_await io::StayOn{core(i)};
    listeners[i]->close();
    co_return Result<void>{};
  }
};

// Accepts on one core until the listener is closed, and counts.
Task<Result<void>> serve_echo(InetCores& inet, Servers& servers, unsigned place, bool share) {
  auto& listener = servers.listeners[place];
  listener =
      CO_TRY(co_await inet.listen(io::Address::ipv4({10, 9, 0, 2}, 7), {.share_port = share}));
  servers.listening[place].set();
  Scope connections{OnError::keep_going};
  for (;;) {
    auto stream = co_await listener->accept();
    if (!stream) break;
    EXPECT_EQ(coro::this_core(), &core(place));
    ++servers.accepted[place];
    connections.spawn(echo(std::move(*stream)), coro::this_core());
  }
  co_return co_await connections.join();
}

// Each core has its share of the connections, and none is lost.
Task<Result<void>> shares(InetCores& inet) {
  Servers servers;
  Scope scope;
  for (unsigned i = 0; i < cores; ++i) scope.spawn(serve_echo(inet, servers, i, true), &core(i));
  CO_TRY(co_await servers.started(0, cores));
  constexpr int rounds = 12;
  constexpr int at_once = 10;
  std::atomic<int> good{0};
  HostThread clients{[&] {
    const std::vector<std::byte> data = noise(40'000);
    for (int round = 0; round < rounds; ++round) {
      std::vector<std::unique_ptr<HostClient>> open;
      for (int i = 0; i < at_once; ++i) open.push_back(std::make_unique<HostClient>(7));
      for (const auto& each : open) EXPECT_TRUE(each->connected && each->send_all(data));
      for (const auto& each : open) shutdown(each->fd.get(), SHUT_WR);
      for (const auto& each : open) good += each->receive_all(data.size() + 1) == data;
    }
  }};
  CO_TRY(co_await clients.join());
  for (unsigned i = 0; i < cores; ++i) CO_TRY(co_await servers.close(i));
  CO_TRY(co_await scope.join());
  EXPECT_EQ(good, rounds * at_once);
  EXPECT_EQ(servers.all(), static_cast<unsigned>(rounds * at_once));
  // Of 120, whoever chooses the ports: that a core has none happens once in 10^20 machines.
  for (const unsigned one : servers.accepted) EXPECT_GT(one, 0U);
  co_return Result<void>{};
}
TEST_P(InetOnCores, ShareConnections) { run_over<shares>(GetParam()); }

// Who listens alone gets all, whichever core it is on; and nobody else may listen there.
Task<Result<void>> one_listens(InetCores& inet) {
  Servers servers;
  Scope scope;
  scope.spawn(serve_echo(inet, servers, 2, false), &core(2));
  CO_TRY(co_await servers.started(2, 3));
  EXPECT_TRUE((co_await inet.listen(io::Address::ipv4({10, 9, 0, 2}, 7), {.share_port = true}))
                  .failed_with(Error::address_in_use));
  int good = 0;
  HostThread clients{[&] {
    const std::vector<std::byte> data = noise(3'000);
    for (int i = 0; i < 20; ++i) {
      const HostClient host{7};
      EXPECT_TRUE(host.connected && host.send_all(data));
      shutdown(host.fd.get(), SHUT_WR);
      good += host.receive_all(data.size() + 1) == data;
    }
    // Nobody at all listens there.
    EXPECT_FALSE(HostClient{8}.connected);
  }};
  CO_TRY(co_await clients.join());
  CO_TRY(co_await servers.close(2));
  CO_TRY(co_await scope.join());
  EXPECT_EQ(good, 20);
  EXPECT_EQ(servers.accepted[2], 20U);
  co_return Result<void>{};
}
TEST_P(InetOnCores, OneMayListenAlone) { run_over<one_listens>(GetParam()); }

// Connections outlive their listeners, wherever new ones go from then on, and a smaller lease.
Task<Result<void>> listeners_go(InetCores& inet) {
  Servers servers;
  Scope scope;
  for (unsigned i = 0; i < cores; ++i) scope.spawn(serve_echo(inet, servers, i, true), &core(i));
  CO_TRY(co_await servers.started(0, cores));
  constexpr int count = 24;
  std::atomic<int> step{0};
  std::atomic<int> good{0};
  HostThread clients{[&] {
    std::vector<std::unique_ptr<HostClient>> open;
    for (int i = 0; i < count; ++i) open.push_back(std::make_unique<HostClient>(7));
    const std::vector<std::byte> data = noise(5'000);
    const auto exchange = [&] {
      for (const auto& each : open) EXPECT_TRUE(each->connected && each->send_all(data));
      for (const auto& each : open) good += each->receive_all(data.size()) == data;
    };
    exchange();
    for (int next = 1; next <= 5; ++next) {
      step = next;
      while (step == next) std::this_thread::sleep_for(1ms);
      exchange();
    }
  }};
  const auto await_step = [&](int wanted) -> Task<Result<void>> {
    while (step != wanted) CO_TRY(co_await sleep_for(1ms));
    co_return Result<void>{};
  };
  CO_TRY(co_await await_step(1));
  CO_TRY(sched::Machine::current().set_active_cores(1));
  step = -1;
  CO_TRY(co_await await_step(2));
  CO_TRY(co_await servers.close(1));
  step = -1;
  CO_TRY(co_await await_step(3));
  CO_TRY(co_await servers.close(0));
  step = -1;
  CO_TRY(co_await await_step(4));
  CO_TRY(co_await servers.close(2));
  step = -1;
  CO_TRY(co_await await_step(5));
  CO_TRY(sched::Machine::current().set_active_cores(cores));
  step = -1;
  CO_TRY(co_await clients.join());
  CO_TRY(co_await scope.join());
  EXPECT_EQ(good, 6 * count);
  EXPECT_EQ(servers.all(), static_cast<unsigned>(count));
  co_return Result<void>{};
}
TEST_P(InetOnCores, ConnectionsOutliveListenersAndLeases) { run_over<listeners_go>(GetParam()); }

// What a core opens comes back to it.
Task<Result<void>> talk_from(InetCores& inet, unsigned place, std::uint16_t port) {
  for (int i = 0; i < 20; ++i) {
    auto stream = CO_TRY(co_await inet.connect(io::Address::ipv4({10, 9, 0, 1}, port)));
    EXPECT_EQ(coro::this_core(), &core(place));
    CO_TRY(co_await stream->write_all(bytes_of("hello")));
    std::array<std::byte, 5> data;
    CO_TRY(co_await stream->read_exact(data));
    EXPECT_EQ(text_of(data), "hello");
  }
  co_return Result<void>{};
}

Task<Result<void>> cores_connect(InetCores& inet) {
  const Descriptor listener{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const sockaddr_in at = host_address("10.9.0.1", 8'081);
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  EXPECT_EQ(listen(listener.get(), 50), 0);
  HostThread host{[&] {
    for (unsigned i = 0; i < 20 * cores; ++i) {
      const Descriptor fd{accept(listener.get(), nullptr, nullptr)};
      std::array<char, 8> data{};
      EXPECT_EQ(recv(fd.get(), data.data(), 5, MSG_WAITALL), 5);
      EXPECT_EQ(send(fd.get(), data.data(), 5, MSG_NOSIGNAL), 5);
      EXPECT_EQ(recv(fd.get(), data.data(), 1, 0), 0);
    }
  }};
  Scope scope;
  for (unsigned i = 0; i < cores; ++i) scope.spawn(talk_from(inet, i, 8'081), &core(i));
  CO_TRY(co_await scope.join());
  CO_TRY(co_await host.join());
  for (unsigned i = 0; i < cores; ++i) {
    const io::Stay stay = co_await io::StayOn{core(i)};
    EXPECT_EQ(inet.on(i).tcp_statistics().opened, 20U);
  }
  co_return Result<void>{};
}
TEST_P(InetOnCores, EachCoreOpensConnections) { run_over<cores_connect>(GetParam()); }

// From one core of the machine to another, without the device; and datagrams from anywhere.
Task<Result<void>> talk_inside(InetCores& inet) {
  Servers servers;
  Scope scope;
  scope.spawn(serve_echo(inet, servers, 2, false), &core(2));
  CO_TRY(co_await servers.started(2, 3));
  const io::Stay stay = co_await io::StayOn{core(1)};
  const std::vector<std::byte> data = noise(100'000);
  std::vector<std::byte> back(data.size());
  {
    auto stream = CO_TRY(co_await inet.connect(io::Address::ipv4({10, 9, 0, 2}, 7)));
    Scope writer;
    const auto write = [](io::Stream& to, std::span<const std::byte> bytes) -> Task<Result<void>> {
      co_return co_await to.write_all(bytes);
    };
    writer.spawn(write(*stream, data), &core(1));
    CO_TRY(co_await stream->read_exact(back));
    CO_TRY(co_await writer.join());
  }
  EXPECT_EQ(back, data);
  CO_TRY(co_await servers.close(2));
  CO_TRY(co_await scope.join());

  const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const sockaddr_in to = host_address("10.9.0.2", 5'000);
  auto ours = CO_TRY(co_await inet.bind(io::Address::ipv4({10, 9, 0, 2}, 5'000)));
  EXPECT_EQ(
      sendto(fd.get(), data.data(), 9'000, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
      9'000);
  EXPECT_EQ(CO_TRY(co_await with_timeout(5s, ours->receive(back))).size, 9'000U);
  co_return Result<void>{};
}
TEST_P(InetOnCores, TalkToEachOther) { run_over<talk_inside>(GetParam()); }

Task<Result<void>> return_datagrams(io::Datagram& socket, unsigned place, int count) {
  std::vector<std::byte> room(20'000);
  for (int i = 0; i < count; ++i) {
    const io::Received got = CO_TRY(co_await with_timeout(5s, socket.receive(room)));
    EXPECT_EQ(coro::this_core(), &core(place));
    CO_TRY(co_await socket.send(std::span{room}.first(got.size), got.from));
  }
  co_return Result<void>{};
}

// Each core has ports of its own, wherever the device brings what is for them: in one piece, in
// several, from another core, and for a group.
Task<Result<void>> ports_of_cores(InetCores& inet) {
  constexpr int each = 12;
  const auto port = [](unsigned i) { return static_cast<std::uint16_t>(5'000 + i); };
  std::array<std::unique_ptr<io::Datagram>, cores> sockets;
  for (unsigned i = 0; i < cores; ++i) {
    const io::Stay stay = co_await io::StayOn{core(i)};
    sockets[i] = CO_TRY(co_await inet.bind(io::Address::ipv4({}, port(i))));
    EXPECT_TRUE(
        (co_await inet.bind(io::Address::ipv4({}, port(0)))).failed_with(Error::address_in_use));
  }
  const io::Address group = io::Address::ipv4({239, 1, 2, 3}, 0);
  CO_TRY(co_await sockets[2]->join(group));
  EXPECT_TRUE((co_await sockets[2]->join(group)).failed_with(Error::address_in_use));
  EXPECT_TRUE((co_await sockets[2]->join(io::Address::ipv4({10, 9, 0, 9}, 0)))
                  .failed_with(Error::invalid_argument));

  Scope scope;
  for (unsigned i = 0; i < cores; ++i)
    scope.spawn(return_datagrams(*sockets[i], i, i == 2 ? 3 * each + 1 : 3 * each), &core(i));
  int good = 0;
  HostThread host{[&] {
    const std::vector<std::byte> data = noise(9'000);
    const auto asks = [&](std::uint32_t to, unsigned i, std::size_t size) {
      const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
      sockaddr_in at = host_address("10.9.0.2", port(i));
      if (to != 0) at.sin_addr.s_addr = htonl(to);
      const in_addr device{.s_addr = htonl(0x0a090001)};
      EXPECT_EQ(setsockopt(fd.get(), IPPROTO_IP, IP_MULTICAST_IF, &device, sizeof device), 0);
      const timeval limit{5, 0};
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      const auto sent =
          sendto(fd.get(), data.data(), size, 0, reinterpret_cast<const sockaddr*>(&at), sizeof at);
      EXPECT_EQ(sent, static_cast<ssize_t>(size));
      std::vector<std::byte> back(size + 1);
      good +=
          recv(fd.get(), back.data(), back.size(), 0) == static_cast<ssize_t>(size) &&
          std::equal(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size), back.begin());
    };
    for (int round = 0; round < each; ++round)
      for (unsigned i = 0; i < cores; ++i) {
        asks(0, i, 100 + 10U * static_cast<unsigned>(round));
        asks(0, i, 9'000);
      }
    asks(0xef010203, 2, 50);
    // Where nobody is the machine says so.
    const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const sockaddr_in nobody = host_address("10.9.0.2", 4'999);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&nobody), sizeof nobody), 0);
    EXPECT_EQ(send(fd.get(), data.data(), 5, 0), 5);
    std::byte none{};
    EXPECT_EQ(recv(fd.get(), &none, 1, 0), -1);
    EXPECT_EQ(errno, ECONNREFUSED);
  }};
  CO_TRY(co_await host.join());
  EXPECT_EQ(good, static_cast<int>(cores) * 2 * each + 1);
  // Without the device.
  for (unsigned i = 0; i < cores; ++i) {
    const io::Stay stay = co_await io::StayOn{core((i + 1) % cores)};
    auto asker = CO_TRY(co_await inet.bind(io::Address::ipv4({10, 9, 0, 2}, 0)));
    EXPECT_NE(asker->local().port(), 0);
    for (int round = 0; round < each; ++round) {
      CO_TRY(co_await asker->send(bytes_of("hello"), io::Address::ipv4({10, 9, 0, 2}, port(i))));
      std::array<std::byte, 9> back;
      EXPECT_EQ(CO_TRY(co_await with_timeout(5s, asker->receive(back))).size, 5U);
    }
    const io::Stay elsewhere = co_await io::StayOn{core(i)};
    asker.reset();
  }
  CO_TRY(co_await scope.join());
  // What is given up on another core is free again, in a while.
  for (auto& socket : sockets) socket.reset();
  for (unsigned i = 0; i < cores; ++i) {
    const io::Stay stay = co_await io::StayOn{core((i + 2) % cores)};
    for (;;) {
      const auto again = co_await inet.bind(io::Address::ipv4({}, port(i)));
      if (again) break;
      EXPECT_TRUE(again.failed_with(Error::address_in_use));
      CO_TRY(co_await sleep_for(1ms));
    }
  }
  co_return Result<void>{};
}
TEST_P(InetOnCores, EachHasPortsForDatagrams) { run_over<ports_of_cores>(GetParam()); }

// Everything is cut while streams are under way: nothing is left behind, which run_on_host() sees.
Task<Result<void>> stops(InetCores& inet) {
  Servers servers;
  Scope scope{OnError::keep_going};
  for (unsigned i = 0; i < cores; ++i) scope.spawn(serve_echo(inet, servers, i, true), &core(i));
  CO_TRY(co_await servers.started(0, cores));
  std::atomic<bool> flowing{false};
  std::atomic<bool> over{false};
  HostThread clients{[&] {
    const std::vector<std::byte> data = noise(100'000);
    std::vector<std::unique_ptr<HostClient>> open;
    for (int i = 0; i < 12; ++i) open.push_back(std::make_unique<HostClient>(7));
    while (!over) {
      for (const auto& each : open)
        send(each->fd.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      std::array<std::byte, 4'096> room;
      for (const auto& each : open)
        if (recv(each->fd.get(), room.data(), room.size(), MSG_DONTWAIT) > 0) flowing = true;
    }
  }};
  while (!flowing) CO_TRY(co_await sleep_for(1ms));
  CO_TRY(co_await sleep_for(20ms));
  scope.request_stop();
  (co_await scope.join()).ignore();
  for (unsigned i = 0; i < cores; ++i) {
    const io::Stay stay = co_await io::StayOn{core(i)};
    servers.listeners[i].reset();
  }
  over = true;
  co_return co_await clients.join();
}
TEST_P(InetOnCores, StopInTheMiddle) { run_over<stops>(GetParam()); }

const char* name_of(Queues kind) {
  switch (kind) {
    case Queues::several: return "Several";
    case Queues::one: return "One";
    case Queues::visited: break;
  }
  return "Visited";
}

INSTANTIATE_TEST_SUITE_P(Queues, InetOnCores,
                         testing::Values(Queues::several, Queues::one, Queues::visited),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace lichen::driver::test
