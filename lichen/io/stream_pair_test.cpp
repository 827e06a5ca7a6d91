#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::io {
namespace {

using namespace std::chrono_literals;

using MainTask = Task<Result<void>>();
void run(MainTask* main, unsigned cores = 1) {
  auto machine = sched::Machine::create({.cores = cores, .pin = false});
  ASSERT_TRUE(machine);
  const Result<void> outcome = (*machine)->run(main());
  EXPECT_TRUE(outcome) << name(outcome.error());
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span{text});
}
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Task<Result<void>> both_ways() {
  StreamPair pair = CO_TRY(make_stream_pair(16));
  CO_TRY(co_await pair.first->write_all(bytes_of("there")));
  CO_TRY(co_await pair.second->write_all(bytes_of("and back")));
  EXPECT_EQ(text_of(CO_TRY(co_await pair.second->receive()).bytes()), "there");
  std::array<std::byte, 8> into;
  CO_TRY(co_await pair.first->read_exact(std::span{into}.first(3)));
  EXPECT_EQ(text_of(std::span{into}.first(3)), "and");
  EXPECT_EQ(CO_TRY(co_await pair.first->read(into)), 5U);
  EXPECT_TRUE((co_await with_timeout(1ms, pair.first->read(into))).failed_with(Error::timed_out));
  EXPECT_EQ(CO_TRY(co_await pair.first->write(bytes_of("more than sixteen bytes"))), 16U);
  EXPECT_TRUE(
      (co_await with_timeout(1ms, pair.first->write(bytes_of("x")))).failed_with(Error::timed_out));
  co_return Result<void>{};
}
TEST(StreamPair, CarriesBytesBothWays) { run(both_ways); }

Task<Result<void>> one_way() {
  Pipe pipe = CO_TRY(make_memory_pipe(8));
  EXPECT_EQ(CO_TRY(co_await pipe.writer->write(bytes_of("more than eight"))), 8U);
  EXPECT_EQ(text_of(CO_TRY(co_await pipe.reader->receive()).bytes()), "more tha");
  CO_TRY(co_await pipe.writer->write_all(bytes_of("the end")));
  pipe.writer.reset();
  EXPECT_EQ(text_of(CO_TRY(co_await pipe.reader->receive()).bytes()), "the end");
  EXPECT_TRUE(CO_TRY(co_await pipe.reader->receive()).empty());

  pipe = CO_TRY(make_memory_pipe(8));
  pipe.reader.reset();
  EXPECT_TRUE((co_await pipe.writer->write(bytes_of("x"))).failed_with(Error::closed));
  EXPECT_TRUE(make_memory_pipe(0).failed_with(Error::invalid_argument));
  co_return Result<void>{};
}
TEST(MemoryPipe, CarriesBytesOneWay) { run(one_way); }

Task<Result<void>> write_much(Stream& stream, std::span<const std::byte> much) {
  CO_TRY(co_await stream.write_all(much));
  co_return co_await stream.shutdown(Direction::send);
}
Task<Result<void>> read_much(Stream& stream, std::span<const std::byte> expected) {
  std::vector<std::byte> all;
  for (;;) {
    const Buffer buffer = CO_TRY(co_await stream.receive());
    if (buffer.empty()) break;
    all.insert(all.end(), buffer.bytes().begin(), buffer.bytes().end());
  }
  EXPECT_TRUE(std::ranges::equal(all, expected));
  co_return Result<void>{};
}
Task<Result<void>> through_a_small_ring() {
  StreamPair pair = CO_TRY(make_stream_pair(7));
  std::vector<std::byte> much(100'000);
  for (std::size_t i = 0; i < much.size(); ++i) much[i] = static_cast<std::byte>(i * 31 >> 3);
  auto [written, read] =
      CO_TRY(co_await when_all(write_much(*pair.first, much), read_much(*pair.second, much)));
  EXPECT_TRUE(written);
  co_return read;
}
TEST(StreamPair, PushesBack) {
  run(through_a_small_ring);
  run(through_a_small_ring, 2);
}

Task<Result<void>> ends() {
  StreamPair pair = CO_TRY(make_stream_pair(16));
  std::array<std::byte, 8> into;
  CO_TRY(co_await pair.first->write_all(bytes_of("last")));
  pair.first.reset();
  EXPECT_TRUE((co_await pair.second->read_exact(into)).failed_with(Error::end_of_stream));
  EXPECT_TRUE(CO_TRY(co_await pair.second->receive()).empty());
  EXPECT_TRUE((co_await pair.second->write(bytes_of("x"))).failed_with(Error::closed));

  pair = CO_TRY(make_stream_pair(16));
  auto waiting = pair.second->receive();
  Scope scope;
  scope.start(waiting);
  co_await yield();
  EXPECT_TRUE((co_await pair.second->receive()).failed_with(Error::busy));
  pair.first->abort();
  CO_TRY(co_await scope.join());
  EXPECT_TRUE(waiting.take_result().failed_with(Error::connection_reset));
  EXPECT_TRUE((co_await pair.second->write(bytes_of("x"))).failed_with(Error::connection_reset));
  EXPECT_TRUE(make_stream_pair(0).failed_with(Error::invalid_argument));
  co_return Result<void>{};
}
TEST(StreamPair, TellsItsEnd) { run(ends); }

}  // namespace
}  // namespace lichen::io
