#include "lichen/driver/linux/socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "lichen/driver/linux/host_test.hpp"
#include "lichen/driver/linux/socket_address.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;

Task<Result<void>> echo(std::unique_ptr<io::Stream> stream) {
  for (;;) {
    io::Buffer received = CO_TRY(co_await stream->receive());
    if (received.empty()) co_return Result<void>{};
    CO_TRY(co_await stream->write_all(received.bytes()));
  }
}

Task<Result<void>> serve(io::Listener& listener, Scope& connections) {
  for (;;) connections.spawn(echo(CO_TRY(co_await listener.accept())));
}

// Both at once; the first error of either.
Task<Result<void>> while_writing(Task<Result<void>> write, Task<Result<void>> read) {
  auto [written, read_back] = CO_TRY(co_await when_all(std::move(write), std::move(read)));
  co_return written ? read_back : written;
}

Task<Result<void>> ask(io::Network& network, io::Address at, std::size_t size) {
  auto stream = CO_TRY(co_await network.connect(at));
  std::vector<std::byte> sent(size);
  for (std::size_t i = 0; i < size; ++i) sent[i] = static_cast<std::byte>(i * 7 + size);
  std::vector<std::byte> back(size);
  CO_TRY(co_await while_writing(stream->write_all(sent), stream->read_exact(back)));
  EXPECT_TRUE(sent == back);
  CO_TRY(co_await stream->shutdown(io::Direction::send));
  EXPECT_EQ(CO_TRY(co_await stream->read(back)), 0U);
  co_return Result<void>{};
}

// Whatever the kernel lacks, the bytes come back, small and large, from many at once.
Task<Result<void>> echo_many(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  Scope connections{OnError::keep_going};
  Scope accepting;
  accepting.spawn(serve(*listener, connections));
  Scope clients;
  for (std::size_t size : {1, 512, 4096, 100'000, 3'000'000})
    for (int i = 0; i < 4; ++i) clients.spawn(ask(host.network(), listener->local(), size));
  CO_TRY(co_await clients.join());
  listener->close();
  EXPECT_TRUE((co_await accepting.join()).failed_with(Error::closed));
  co_return co_await connections.join();
}

TEST(HostStream, EchoesWithAndWithoutEachFeature) {
  for (const Features allowed : feature_sets()) run_on_host(echo_many, {.allowed = allowed});
}
TEST(HostStream, EchoesOnTwoCores) { run_on_host(echo_many, {.cores = 2}); }
TEST(HostStream, EchoesWithVeryFewBuffers) {
  run_on_host(echo_many, {.buffers = {.count = 4, .size = 512, .posted_at_first = 1}});
}
TEST(HostStream, EchoesThroughTinyQueues) {
  run_on_host(echo_many, {.entries = 4, .completions = 8});
}
TEST(HostStream, EchoesWithoutCopying) { run_on_host(echo_many, {.zero_copy = true}); }

// Often enough to be entered into the table of files, and out again; more of them than it has
// places.
Task<Result<void>> chat(io::Network& network, io::Address at) {
  auto stream = CO_TRY(co_await network.connect(at));
  std::array<std::byte, 4> into;
  for (int i = 0; i < 60; ++i) {
    const std::array<std::span<const std::byte>, 2> pieces{bytes_of("pi"), bytes_of("ng")};
    CO_TRY(co_await stream->write_pieces(pieces));
    CO_TRY(co_await stream->read_exact(into));
    EXPECT_EQ(text_of(into), "ping");
  }
  co_return Result<void>{};
}
Task<Result<void>> chat_many(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  Scope connections{OnError::keep_going};
  Scope accepting;
  accepting.spawn(serve(*listener, connections));
  Result<void> outcome;
  for (int round = 0; round < 5 && outcome; ++round) {
    Scope clients;
    for (int i = 0; i < 6; ++i) clients.spawn(chat(host.network(), listener->local()));
    outcome = co_await clients.join();
  }
  listener->close();
  (co_await accepting.join()).ignore();
  const Result<void> served = co_await connections.join();
  co_return outcome ? served : outcome;
}
TEST(HostStream, RegistersWhoSendsOften) {
  run_on_host(chat_many);
  run_on_host(chat_many, {.cores = 2});
}

Task<Result<void>> drop_thousand(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  for (int i = 0; i < 1'000; ++i) {
    auto ours = CO_TRY(co_await host.network().connect(listener->local()));
    auto theirs = CO_TRY(co_await listener->accept());
    if (i % 3 == 0) ours->abort();
    if (i % 5 == 0) (co_await with_timeout(0ns, theirs->receive())).ignore();
  }
  co_return Result<void>{};
}
TEST(HostStream, OpensAndDropsAThousandConnections) { run_on_host(drop_thousand); }
TEST(HostStream, OpensAndDropsAThousandConnectionsTheOldWay) {
  run_on_host(drop_thousand, {.allowed = Features{}});
}

Task<Result<void>> read_with_timeout(HostSystem& host) {
  Connection pair = CO_TRY(co_await make_connection(host));
  std::array<std::byte, 16> into;
  EXPECT_TRUE((co_await with_timeout(1ms, pair.theirs->read(into))).failed_with(Error::timed_out));
  EXPECT_TRUE((co_await with_timeout(1ms, pair.theirs->receive())).failed_with(Error::timed_out));
  // No byte was lost by that.
  CO_TRY(co_await pair.ours->write_all(bytes_of("hello")));
  EXPECT_EQ(CO_TRY(co_await pair.theirs->read(std::span{into}.first(2))), 2U);
  const io::Buffer rest = CO_TRY(co_await pair.theirs->receive());
  EXPECT_EQ(text_of(rest.bytes()), "llo");
  co_return Result<void>{};
}
TEST(HostStream, TimesOutAndLosesNothing) {
  run_on_host(read_with_timeout);
  run_on_host(read_with_timeout, {.allowed = Features{}});
}

Task<Result<void>> second_reader_is_busy(HostSystem& host) {
  Connection pair = CO_TRY(co_await make_connection(host));
  auto first = pair.theirs->receive();
  Scope scope;
  scope.start(first);
  co_await yield();
  EXPECT_TRUE((co_await pair.theirs->receive()).failed_with(Error::busy));
  scope.request_stop();
  CO_TRY(co_await scope.join());
  EXPECT_TRUE(first.take_result().failed_with(Error::stopped));
  co_return Result<void>{};
}
TEST(HostStream, RefusesASecondReader) { run_on_host(second_reader_is_busy); }

Task<Result<void>> aborted_by_peer(HostSystem& host) {
  Connection pair = CO_TRY(co_await make_connection(host));
  auto waiting = pair.theirs->receive();
  Scope scope;
  scope.start(waiting);
  co_await yield();
  pair.ours->abort();
  CO_TRY(co_await scope.join());
  EXPECT_TRUE(waiting.take_result().failed_with(Error::connection_reset));
  const Result<void> written = co_await pair.theirs->write_all(bytes_of("x"));
  EXPECT_FALSE(written);
  co_return Result<void>{};
}
TEST(HostStream, SeesAReset) {
  run_on_host(aborted_by_peer);
  run_on_host(aborted_by_peer, {.allowed = Features{}});
}

Task<Result<void>> aborted_by_us(HostSystem& host) {
  Connection pair = CO_TRY(co_await make_connection(host));
  auto waiting = pair.theirs->receive();
  Scope scope;
  scope.start(waiting);
  co_await yield();
  pair.theirs->abort();
  CO_TRY(co_await scope.join());
  EXPECT_FALSE(waiting.take_result());
  EXPECT_TRUE((co_await pair.ours->receive()).failed_with(Error::connection_reset));
  co_return Result<void>{};
}
TEST(HostStream, AbortEndsOurOwnWaits) { run_on_host(aborted_by_us); }

// A peer that does not read: the write waits, and can be stopped.
Task<Result<void>> write_to_deaf_peer(HostSystem& host) {
  Connection pair = CO_TRY(co_await make_connection(host));
  const std::vector<std::byte> much(64 << 20);
  EXPECT_TRUE(
      (co_await with_timeout(20ms, pair.ours->write_all(much))).failed_with(Error::timed_out));
  const std::array<std::span<const std::byte>, 2> pieces{much, much};
  EXPECT_TRUE(
      (co_await with_timeout(20ms, pair.ours->write_pieces(pieces))).failed_with(Error::timed_out));
  co_return Result<void>{};
}
TEST(HostStream, AWriteToADeafPeerCanBeStopped) { run_on_host(write_to_deaf_peer); }

// A peer that floods a stream nobody reads holds a bounded number of buffers, and nothing is lost.
Task<Result<void>> watch_then_read(HostSystem& host, io::Stream& stream,
                                   std::span<std::byte> into) {
  std::uint64_t most = 0;
  for (int i = 0; i < 50; ++i) {
    most = std::max(most, host.statistics(0).buffers_in_use);
    CO_TRY(co_await sleep_for(1ms));
  }
  // The limit of a queue, and what the kernel hands over before it sees that we withdrew.
  EXPECT_LE(most, 8U + 64U);
  co_return co_await stream.read_exact(into);
}
Task<Result<void>> flood(HostSystem& host) {
  Connection pair = CO_TRY(co_await make_connection(host));
  // Arms the request and leaves it armed.
  EXPECT_TRUE((co_await with_timeout(1ms, pair.theirs->receive())).failed_with(Error::timed_out));
  constexpr std::size_t size = 32 << 20;
  std::vector<std::byte> much(size);
  for (std::size_t i = 0; i < size; ++i) much[i] = static_cast<std::byte>(i >> 8);
  std::vector<std::byte> back(size);
  CO_TRY(co_await while_writing(pair.ours->write_all(much),
                                watch_then_read(host, *pair.theirs, back)));
  EXPECT_TRUE(back == much);
  co_return Result<void>{};
}
TEST(HostStream, AFloodHoldsFewBuffers) { run_on_host(flood); }

Task<Result<void>> gather(HostSystem& host) {
  Connection pair = CO_TRY(co_await make_connection(host));
  std::vector<std::string> texts;
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += texts.emplace_back(std::string(i * 37, 'a' + i % 26));
  std::vector<std::span<const std::byte>> pieces;
  for (const std::string& text : texts) pieces.push_back(bytes_of(text));
  std::vector<std::byte> back(expected.size());
  CO_TRY(co_await while_writing(pair.ours->write_pieces(pieces), pair.theirs->read_exact(back)));
  EXPECT_EQ(text_of(back), expected);
  co_return Result<void>{};
}
TEST(HostStream, WritesPiecesInOrder) { run_on_host(gather); }

// A stream is destroyed on another core than its own, with a receive armed.
Task<Result<void>> use_elsewhere(std::unique_ptr<io::Stream> stream) {
  CO_TRY(co_await stream->write_all(bytes_of("from afar")));
  EXPECT_TRUE((co_await with_timeout(1ms, stream->receive())).failed_with(Error::timed_out));
  co_await sched::move_to(sched::Machine::current().core(1));
  EXPECT_EQ(coro::this_core()->index(), 1U);
  stream.reset();
  co_return Result<void>{};
}
Task<Result<void>> cross_cores(HostSystem& host) {
  for (int i = 0; i < 200; ++i) {
    Connection pair = CO_TRY(co_await make_connection(host));
    Scope elsewhere;
    elsewhere.spawn(use_elsewhere(std::move(pair.ours)), &sched::Machine::current().core(1));
    std::array<std::byte, 9> into;
    CO_TRY(co_await pair.theirs->read_exact(into));
    EXPECT_EQ(text_of(into), "from afar");
    EXPECT_EQ(CO_TRY(co_await pair.theirs->read(into)), 0U);
    CO_TRY(co_await elsewhere.join());
  }
  co_return Result<void>{};
}
TEST(HostStream, WorksFromAnotherCore) { run_on_host(cross_cores, {.cores = 2}); }

// Buffers are given back on another core than the one that lent them.
Task<Result<void>> drop_there(io::Buffer buffer) {
  buffer.release();
  co_return Result<void>{};
}
Task<Result<void>> buffers_cross(HostSystem& host) {
  Connection pair = CO_TRY(co_await make_connection(host));
  for (int i = 0; i < 300; ++i) {
    CO_TRY(co_await pair.ours->write_all(bytes_of("x")));
    Scope elsewhere;
    elsewhere.spawn(drop_there(CO_TRY(co_await pair.theirs->receive())),
                    &sched::Machine::current().core(1));
    CO_TRY(co_await elsewhere.join());
  }
  co_return Result<void>{};
}
TEST(HostStream, TakesBuffersBackFromAnotherCore) {
  run_on_host(buffers_cross, {.cores = 2, .buffers = {.count = 16, .size = 512}});
}

Task<Result<void>> local_sockets(HostSystem& host) {
  const TemporaryFolder folder;
  const io::Address at = CO_TRY(io::Address::local(folder.path() + "/socket"));
  // A name that a dead listener left behind is no obstacle.
  const int dead = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const SocketAddress address{at};
  EXPECT_EQ(::bind(dead, address.data(), address.size), 0);
  ::close(dead);
  for (int i = 0; i < 2; ++i) {
    auto listener = CO_TRY(co_await host.network().listen(at));
    EXPECT_TRUE((co_await host.network().listen(at)).failed_with(Error::address_in_use));
    auto ours = CO_TRY(co_await host.network().connect(at));
    auto theirs = CO_TRY(co_await listener->accept());
    CO_TRY(co_await ours->write_all(bytes_of("local")));
    EXPECT_EQ(text_of(CO_TRY(co_await theirs->receive()).bytes()), "local");
    theirs->abort();
    EXPECT_FALSE(CO_TRY(co_await ours->receive()).size() > 0);
  }
  co_return Result<void>{};
}
TEST(HostStream, SpeaksOverLocalSockets) { run_on_host(local_sockets); }

Task<Result<void>> tells_addresses(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  EXPECT_NE(listener->local().port(), 0);
  auto ours = CO_TRY(co_await host.network().connect(listener->local()));
  auto theirs = CO_TRY(co_await listener->accept());
  EXPECT_EQ(ours->peer(), listener->local());
  EXPECT_EQ(theirs->peer().octets()[0], 127);
  co_return Result<void>{};
}
TEST(HostStream, KnowsItsPeer) { run_on_host(tells_addresses); }

TEST(HostStream, IsSmall) { EXPECT_LE(sizeof(Socket) + sizeof(HostStream), 400U); }

// What every accepted connection is given without a call of its own.
TEST(HostStream, HandsDownNoDelay) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ASSERT_EQ(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
  SocketAddress at{io::Address::loopback(0)};
  ASSERT_EQ(::bind(listener, at.data(), at.size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  const SocketAddress bound{local_address(listener)};
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(client, bound.data(), bound.size), 0);
  const int accepted = ::accept(listener, nullptr, nullptr);
  int value = 0;
  socklen_t size = sizeof value;
  ASSERT_EQ(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
  EXPECT_NE(value, 0);
  for (const int fd : {listener, client, accepted}) ::close(fd);
}

// Connections as long as the memory lasts; then errors, and everything goes on with what there is.
Task<Result<void>> connect_until_error(io::Network& network, io::Address at, Error& error) {
  std::vector<std::unique_ptr<io::Stream>> streams;
  while (error == Error{} && streams.size() < 8'000) {
    auto stream = co_await network.connect(at);
    if (stream)
      streams.push_back(*std::move(stream));
    else
      error = stream.error();
  }
  EXPECT_GT(streams.size(), 10U);
  co_return Result<void>{};
}
Task<Result<void>> no_memory(HostSystem& host) {
  auto listener = CO_TRY(co_await host.network().listen(io::Address::loopback(0)));
  Scope connections{OnError::keep_going};
  Scope accepting;
  accepting.spawn(serve(*listener, connections));
  Error error{};
  (co_await connect_until_error(host.network(), listener->local(), error)).ignore();
  EXPECT_EQ(error, Error::no_memory);
  listener->close();
  (co_await accepting.join()).ignore();
  (co_await connections.join()).ignore();
  CO_TRY(co_await settle(host));
  Connection pair = CO_TRY(co_await make_connection(host));
  CO_TRY(co_await pair.ours->write_all(bytes_of("still here")));
  EXPECT_EQ(text_of(CO_TRY(co_await pair.theirs->receive()).bytes()), "still here");
  co_return Result<void>{};
}
TEST(HostStream, OutOfMemoryIsAnError) { run_on_host(no_memory, {.memory_limit = 2 << 20}); }

}  // namespace
}  // namespace lichen::driver::test
