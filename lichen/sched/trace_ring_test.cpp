#include "lichen/sched/trace_ring.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace lichen::sched {
namespace {

void put(TraceRing& ring, std::uint64_t n) {
  ring.record(n, static_cast<TraceKind>(n % trace_kind_count), static_cast<LaneId>(n), n * 3, ~n);
}
void expect_event(const TraceEvent& event, std::uint64_t n) {
  EXPECT_EQ(event.time_ns, n);
  EXPECT_EQ(event.kind, static_cast<TraceKind>(n % trace_kind_count));
  EXPECT_EQ(event.lane, static_cast<LaneId>(n));
  EXPECT_EQ(event.strand, n * 3);
  EXPECT_EQ(event.argument, ~n);
}

TEST(TraceRing, IsOffAndEmptyAtFirst) {
  TraceRing ring;
  EXPECT_FALSE(ring.on());
  EXPECT_TRUE(ring.read(0).events.empty());
  EXPECT_EQ(ring.read(0).lost, 0U);
  put(ring, 1);  // nobody has started it
  EXPECT_EQ(ring.recorded(), 0U);
}

TEST(TraceRing, KeepsWhatWasRecorded) {
  TraceRing ring;
  const auto from = ring.start(64);
  ASSERT_TRUE(from);
  EXPECT_TRUE(ring.on());
  for (std::uint64_t n = 0; n < 64; ++n) put(ring, n);
  ring.stop();
  EXPECT_FALSE(ring.on());
  const TraceSnapshot snapshot = ring.read(*from);
  EXPECT_EQ(snapshot.lost, 0U);
  ASSERT_EQ(snapshot.events.size(), 64U);
  for (std::uint64_t n = 0; n < 64; ++n) expect_event(snapshot.events[n], n);
}

TEST(TraceRing, OverwritesTheOldestAndCountsThem) {
  TraceRing ring;
  ASSERT_TRUE(ring.start(64));
  for (std::uint64_t n = 0; n < 1'000; ++n) put(ring, n);
  const TraceSnapshot snapshot = ring.read(100);
  ASSERT_EQ(snapshot.events.size(), 64U);
  EXPECT_EQ(snapshot.lost, 900U - 64U);
  for (std::uint64_t n = 0; n < 64; ++n) expect_event(snapshot.events[n], 1'000 - 64 + n);
}

TEST(TraceRing, GivesEveryRecorderItsOwnPart) {
  TraceRing ring;
  const auto first = ring.start(64);
  put(ring, 0);
  const auto second = ring.start(4'096);  // the ring stays as it is
  put(ring, 1);
  ring.stop();
  EXPECT_TRUE(ring.on());
  put(ring, 2);
  ring.stop();
  EXPECT_FALSE(ring.on());
  EXPECT_EQ(ring.read(*first).events.size(), 3U);
  EXPECT_EQ(ring.read(*second).events.size(), 2U);
  EXPECT_TRUE(ring.read(ring.recorded()).events.empty());
  EXPECT_TRUE(ring.read(1'000).events.empty());
  EXPECT_EQ(ring.read(1'000).lost, 0U);
}

TEST(TraceRing, IsReadInPieces) {
  TraceRing ring;
  ASSERT_TRUE(ring.start(64));
  for (std::uint64_t n = 0; n < 100; ++n) put(ring, n);
  std::uint64_t from = 0;
  for (const std::uint64_t lost : {36, 0, 0}) {
    const TraceSnapshot piece = ring.read(from, 30);
    EXPECT_EQ(piece.lost, lost);
    for (std::size_t i = 0; i < piece.events.size(); ++i)
      expect_event(piece.events[i], from + lost + i);
    from += piece.lost + piece.events.size();
  }
  EXPECT_EQ(from, 100U);
}

TEST(TraceRing, CarriesPlacesInThePrograms) {
  const auto here = std::source_location::current();
  const auto back = location_of(argument_of(here));
  EXPECT_EQ(back.line(), here.line());
  EXPECT_STREQ(back.file_name(), here.file_name());
  EXPECT_STREQ(back.function_name(), here.function_name());
  EXPECT_EQ(location_of(0).line(), 0U);
}

TEST(TraceRing, HasANameForEveryKind) {
  for (unsigned kind = 0; kind < trace_kind_count; ++kind)
    EXPECT_FALSE(name(static_cast<TraceKind>(kind)).empty());
}

// A small ring that is overwritten all the time: what a reader gets is whole and in order, and
// nothing is missing but what it counts as lost.
TEST(TraceRing, IsReadWhileItIsWritten) {
  TraceRing ring;
  std::atomic<bool> enough{false};
  std::thread writer{[&] {
    for (std::uint64_t n = 0; !enough.load(std::memory_order_relaxed);) {
      if (!ring.on()) continue;
      for (int i = 0; i < 5; ++i) put(ring, n++);
    }
  }};
  ASSERT_TRUE(ring.start(256));
  std::uint64_t from = 0, kept = 0;
  for (int round = 0; round < 3'000; ++round) {
    const TraceSnapshot snapshot = ring.read(from);
    for (std::size_t i = 0; i < snapshot.events.size(); ++i)
      expect_event(snapshot.events[i], from + snapshot.lost + i);
    if (HasFailure()) break;
    kept += snapshot.events.size();
    from += snapshot.lost + snapshot.events.size();
  }
  while (kept == 0) kept += ring.read(0).events.size();
  enough.store(true);
  writer.join();
  EXPECT_GE(ring.recorded(), from);
}

// Started and stopped over and over while its core writes.
TEST(TraceRing, IsStartedAndStoppedFromOtherThreads) {
  TraceRing ring;
  std::atomic<bool> enough{false};
  std::thread writer{[&] {
    for (std::uint64_t n = 0; !enough.load(std::memory_order_relaxed);)
      if (ring.on()) put(ring, n++);
  }};
  auto reader = [&ring] {
    for (int round = 0; round < 200; ++round) {
      const auto from = ring.start(1'024);
      ASSERT_TRUE(from);
      while (ring.recorded() < *from + 10) std::this_thread::yield();
      const TraceSnapshot snapshot = ring.read(*from);
      for (std::size_t i = 0; i < snapshot.events.size(); ++i)
        expect_event(snapshot.events[i], *from + snapshot.lost + i);
      ring.stop();
    }
  };
  std::thread other{reader};
  reader();
  other.join();
  enough.store(true);
  writer.join();
  EXPECT_FALSE(ring.on());
}

}  // namespace
}  // namespace lichen::sched
