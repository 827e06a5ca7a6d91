#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>

#include "lichen/driver/linux/host_test.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;

Task<Result<void>> port_in_use(HostSystem& host) {
  auto first = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  const io::Address at = first->local();
  EXPECT_TRUE((co_await host.network().listen(at)).failed_with(Error::address_in_use));
  // Free at once when the listener is gone, or has closed.
  first.reset();
  auto second = CO_TRY(co_await host.network().listen(at));
  second->close();
  auto third = CO_TRY(co_await host.network().listen(at));
  EXPECT_EQ(third->local(), at);
  const io::Address nowhere = io::Address::ipv4({203, 0, 113, 1}, 0);
  EXPECT_TRUE((co_await host.network().listen(nowhere)).failed_with(Error::address_unavailable));
  EXPECT_TRUE((co_await host.network().listen({})).failed_with(Error::invalid_argument));
  co_return Result<void>{};
}
TEST(HostListener, TellsThatAPortIsInUse) { run_on_host(port_in_use); }

Task<Result<void>> serve_elsewhere(HostSystem& host) {
  EXPECT_EQ(host.network().service_address(80), io::Address::loopback(80));
  host.serve_at(io::Address::ipv4({127, 0, 0, 9}, 0));
  EXPECT_EQ(host.network().service_address(80), io::Address::ipv4({127, 0, 0, 9}, 80));
  co_return Result<void>{};
}
TEST(HostListener, ServesWhereItIsTold) { run_on_host(serve_elsewhere); }

Task<Result<void>> share_port(HostSystem& host) {
  auto first =
      CO_TRY(co_await host.network().listen(io::Address::loopback(0), {.share_port = true}));
  auto second = CO_TRY(co_await host.network().listen(first->local(), {.share_port = true}));
  EXPECT_EQ(first->local(), second->local());
  EXPECT_TRUE((co_await host.network().listen(first->local())).failed_with(Error::address_in_use));
  co_return Result<void>{};
}
TEST(HostListener, SharesAPortWhenAsked) { run_on_host(share_port); }

Task<Result<void>> closing_ends_accept(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  auto waiting = listener->accept();
  Scope scope;
  scope.start(waiting);
  co_await yield();
  EXPECT_TRUE((co_await listener->accept()).failed_with(Error::busy));
  listener->close();
  CO_TRY(co_await scope.join());
  EXPECT_TRUE(waiting.take_result().failed_with(Error::closed));
  EXPECT_TRUE((co_await listener->accept()).failed_with(Error::closed));
  EXPECT_TRUE(
      (co_await host.network().connect(listener->local())).failed_with(Error::connection_refused));
  co_return Result<void>{};
}
TEST(HostListener, ClosingEndsAccept) {
  run_on_host(closing_ends_accept);
  run_on_host(closing_ends_accept, {.allowed = Features{}});
}

Task<Result<void>> stopped_accept(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  EXPECT_TRUE((co_await with_timeout(1ms, listener->accept())).failed_with(Error::timed_out));
  // A connection that came while nobody waited is there for the next.
  auto ours = CO_TRY(co_await host.network().connect(listener->local()));
  auto theirs = CO_TRY(co_await listener->accept());
  CO_TRY(co_await ours->write_all(bytes_of("!")));
  EXPECT_EQ(CO_TRY(co_await theirs->receive()).size(), 1U);
  co_return Result<void>{};
}
TEST(HostListener, AcceptCanBeStopped) {
  run_on_host(stopped_accept);
  run_on_host(stopped_accept, {.allowed = Features{}});
}

Task<Result<void>> nobody_accepts(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  auto first = CO_TRY(co_await host.network().connect(listener->local()));
  auto accepted = CO_TRY(co_await listener->accept());
  std::vector<std::unique_ptr<io::Stream>> waiting;
  for (int i = 0; i < 600; ++i)
    waiting.push_back(CO_TRY(co_await host.network().connect(listener->local())));
  // Some are accepted ahead, a bounded number; closing cuts all of them.
  listener->close();
  for (auto& stream : waiting) {
    const Result<io::Buffer> received = co_await stream->receive();
    EXPECT_TRUE(!received || received->empty());
  }
  co_return Result<void>{};
}
TEST(HostListener, CutsWhatNobodyAccepted) { run_on_host(nobody_accepts); }

// Without descriptors the listener waits, and takes up the connections when there are some again.
Task<Result<void>> out_of_descriptors(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  std::vector<std::unique_ptr<io::Stream>> ours;
  for (int i = 0; i < 20; ++i)
    ours.push_back(CO_TRY(co_await host.network().connect(listener->local())));
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = fcntl(0, F_DUPFD_CLOEXEC, 0);
  ::close(next);
  const rlimit tight{static_cast<rlim_t>(next) + 5, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  std::vector<std::unique_ptr<io::Stream>> theirs;
  for (int i = 0; i < 5; ++i) theirs.push_back(CO_TRY(co_await listener->accept()));
  EXPECT_TRUE(
      (co_await host.network().connect(listener->local())).failed_with(Error::limit_reached));
  const std::uint64_t calls = host.statistics(0).enters;
  EXPECT_TRUE((co_await with_timeout(100ms, listener->accept())).failed_with(Error::timed_out));
  // It did not spin.
  EXPECT_LT(host.statistics(0).enters - calls, 100U);
  setrlimit(RLIMIT_NOFILE, &before);
  for (int i = 5; i < 20; ++i) theirs.push_back(CO_TRY(co_await listener->accept()));
  co_return Result<void>{};
}
TEST(HostListener, OutlastsAShortageOfDescriptors) {
  run_on_host(out_of_descriptors);
  run_on_host(out_of_descriptors, {.allowed = Features{}});
}

Task<Result<void>> refused(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  const io::Address at = listener->local();
  listener.reset();
  EXPECT_TRUE((co_await host.network().connect(at)).failed_with(Error::connection_refused));
  EXPECT_TRUE((co_await host.network().connect({})).failed_with(Error::invalid_argument));
  const io::Address nobody = CO_TRY(io::Address::local("@lichen-nobody-listens-here"));
  EXPECT_TRUE((co_await host.network().connect(nobody)).failed_with(Error::connection_refused));
  co_return Result<void>{};
}
TEST(HostNetwork, TellsThatNobodyListens) { run_on_host(refused); }

// A full backlog makes connecting wait; it can be stopped.
Task<Result<void>> slow_connect(HostSystem& host) {
  const io::Address at = CO_TRY(io::Address::local("@lichen-test-of-a-full-backlog"));
  auto listener = CO_TRY(co_await host.network().listen(at, {.backlog = 1}));
  std::vector<std::unique_ptr<io::Stream>> ours;
  for (;;) {
    auto stream = co_await with_timeout(20ms, host.network().connect(at));
    if (!stream) {
      EXPECT_EQ(stream.error(), Error::timed_out);
      break;
    }
    ours.push_back(*std::move(stream));
    if (ours.size() > 100) co_return Error::internal;
  }
  co_return Result<void>{};
}
TEST(HostNetwork, ConnectingCanBeStopped) { run_on_host(slow_connect); }

Task<Result<void>> resolves(HostSystem& host) {
  auto literal = CO_TRY(co_await host.network().resolve("127.0.0.1", 80));
  EXPECT_EQ(literal.size(), 1U);
  EXPECT_EQ(literal[0], io::Address::loopback(80));
  for (const char* text : {"::1", "[::1]"}) {
    literal = CO_TRY(co_await host.network().resolve(text, 80));
    EXPECT_EQ(literal.at(0).text(), "[::1]:80");
  }
  const auto named = CO_TRY(co_await host.network().resolve("localhost", 8080));
  EXPECT_FALSE(named.empty());
  for (const io::Address& address : named) EXPECT_EQ(address.port(), 8080);
  EXPECT_TRUE((co_await host.network().resolve("no such host.invalid", 1))
                  .failed_with(Error::name_unresolved));
  EXPECT_TRUE((co_await host.network().resolve("", 1)).failed_with(Error::invalid_argument));
  // A stopped task does not wait for the host's resolver.
  for (int i = 0; i < 50; ++i)
    (co_await with_timeout(0ns, host.network().resolve("localhost", 1))).ignore();
  co_return Result<void>{};
}
TEST(HostNetwork, ResolvesNames) { run_on_host(resolves, {.cores = 2}); }

Task<Result<void>> datagrams(HostSystem& host) {
  auto first = CO_TRY(co_await host.network().bind(io::Address::loopback(0)));
  auto second = CO_TRY(co_await host.network().bind(io::Address::loopback(0)));
  std::array<std::byte, 8> into;
  EXPECT_TRUE((co_await with_timeout(1ms, second->receive(into))).failed_with(Error::timed_out));
  CO_TRY(co_await first->send(bytes_of("short"), second->local()));
  CO_TRY(co_await first->send(bytes_of("longer than eight"), second->local()));
  CO_TRY(co_await first->send({}, second->local()));
  io::Received received = CO_TRY(co_await second->receive(into));
  EXPECT_EQ(text_of(std::span{into}.first(received.size)), "short");
  EXPECT_FALSE(received.truncated);
  EXPECT_EQ(received.from, first->local());
  received = CO_TRY(co_await second->receive(into));
  EXPECT_EQ(text_of(std::span{into}.first(received.size)), "longer t");
  EXPECT_TRUE(received.truncated);
  EXPECT_EQ(CO_TRY(co_await second->receive(into)).size, 0U);
  const std::vector<std::byte> huge(70'000);
  EXPECT_TRUE((co_await first->send(huge, second->local())).failed_with(Error::too_large));
  EXPECT_TRUE((co_await host.network().bind(first->local())).failed_with(Error::address_in_use));
  co_return Result<void>{};
}
TEST(HostDatagram, SendsWholeMessages) { run_on_host(datagrams); }

}  // namespace
}  // namespace lichen::driver::test
