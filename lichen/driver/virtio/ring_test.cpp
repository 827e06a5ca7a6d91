// Both forms of the ring against a device side of the tests' own (virtio 1.2, 2.7 and 2.8).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "lichen/base/random.hpp"
#include "lichen/driver/virtio/packed_ring.hpp"
#include "lichen/driver/virtio/split_ring.hpp"
#include "lichen/driver/virtio/test_ring.hpp"

namespace lichen::driver::virtio::test {
namespace {

template <class R>
struct Pair {
  explicit Pair(const RingOptions& options)
      : shared{*SharedMemory::allocate(memory, R::memory_size(options))},
        ring{*R::create(shared, options)},
        device{DeviceRing::create(std::is_same_v<R, PackedRing>, options.size, options.event_index,
                                  ring.addresses())} {}
  TestMemory memory;
  SharedMemory shared;
  R ring;
  std::unique_ptr<DeviceRing> device;
};

template <class R>
class RingTest : public testing::Test {};
using Rings = testing::Types<SplitRing, PackedRing>;
TYPED_TEST_SUITE(RingTest, Rings);

std::array<std::byte, 4096> payload;

// Segments that lie in `payload`, and differ.
std::vector<Segment> segments(const TestMemory& memory, Random& random, std::size_t count) {
  std::vector<Segment> all;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = random.below(4000);
    all.push_back({memory.address(Bytes{payload}.subspan(at)),
                   static_cast<std::uint32_t>(1 + random.below(96))});
  }
  return all;
}

void expect_same(std::span<const Segment> sent, std::span<const Bytes> seen) {
  ASSERT_EQ(sent.size(), seen.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(TestMemory::at(sent[i].address, 1).data(), seen[i].data());
    EXPECT_EQ(sent[i].length, seen[i].size());
  }
}

// 2.7.13, 2.7.14, 2.8.21, 2.8.22: whatever the order of steps, each buffer arrives as it was and
// comes back once. Long enough for the 16-bit indices to wrap (2.7.6, 2.7.8).
template <class R>
void run_randomly(const RingOptions& options, std::uint64_t seed, int buffers) {
  Pair<R> pair{options};
  Random random{seed};
  struct Sent {
    std::vector<Segment> read, written;
  };
  std::map<std::uint16_t, Sent> available;  // by token
  std::map<std::uint16_t, std::uint32_t> used;
  std::vector<std::pair<std::uint16_t, Popped>> with_device;
  std::vector<std::uint16_t> tokens;  // in the order of add()
  std::size_t shown = 0;
  int added = 0;
  int taken = 0;
  while (taken < buffers && !testing::Test::HasFailure()) {
    switch (random.below(4)) {
      case 0: {
        if (added == buffers) break;
        const std::size_t count = 1 + random.below(std::min<std::uint64_t>(options.size, 5));
        const std::size_t written = random.below(count + 1);
        const auto token = static_cast<std::uint16_t>(random.below(65'536));
        if (available.contains(token) || used.contains(token)) break;
        Sent sent{segments(pair.memory, random, count - written),
                  segments(pair.memory, random, written)};
        const bool room = pair.ring.has_room(count);
        ASSERT_EQ(pair.ring.add({sent.read, sent.written}, token), room);
        if (!room) break;
        available.emplace(token, std::move(sent));
        tokens.push_back(token);
        ++added;
        break;
      }
      case 1: pair.ring.publish(); break;
      case 2: {
        if (random.below(2) == 0) pair.ring.publish();
        std::optional<Popped> popped = pair.device->pop();
        if (!popped) break;
        ASSERT_LT(shown, tokens.size());
        const std::uint16_t token = tokens[shown++];
        expect_same(available[token].read, popped->read);
        expect_same(available[token].written, popped->write);
        with_device.emplace_back(token, *std::move(popped));
        break;
      }
      default: {
        std::vector<Done> done;
        while (!with_device.empty() && random.below(3) != 0) {
          const std::size_t which = random.below(with_device.size());
          auto [token, popped] = std::move(with_device[which]);
          with_device.erase(with_device.begin() + static_cast<std::ptrdiff_t>(which));
          std::uint32_t writable = 0;
          for (const Bytes bytes : popped.write) writable += bytes.size();
          const auto written = static_cast<std::uint32_t>(random.below(writable + 1));
          used[token] = written;
          done.push_back({std::move(popped), written});
        }
        pair.device->use(done);
        while (random.below(4) != 0) {
          const Result<Used> back = pair.ring.take();
          if (!back) {
            ASSERT_TRUE(back.failed_with(Error::would_block));
            ASSERT_TRUE(used.empty());
            break;
          }
          ASSERT_TRUE(used.contains(back->token));
          ASSERT_EQ(used[back->token], back->written);
          used.erase(back->token);
          available.erase(back->token);
          ++taken;
        }
      }
    }
    EXPECT_EQ(pair.ring.in_flight(), available.size());
  }
}

TYPED_TEST(RingTest, CarriesBuffersInRandomSchedules) {
  for (std::uint64_t seed = 1; seed <= 60 && !this->HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    const bool odd = std::is_same_v<TypeParam, PackedRing> && seed % 2 == 0;
    run_randomly<TypeParam>({.size = static_cast<std::uint16_t>(odd ? 7 : 8),
                             .event_index = seed % 3 == 0,
                             .indirect = static_cast<std::uint16_t>(seed % 4 < 2 ? 0 : 4)},
                            seed, 2'000);
  }
}
TYPED_TEST(RingTest, GoesOnWhenIndicesWrap) {
  run_randomly<TypeParam>({.size = 4, .event_index = true}, 1, 150'000);
  run_randomly<TypeParam>({.size = 1, .event_index = true, .indirect = 3}, 2, 70'000);
}

// 2.7.5.3, 2.8.7: a buffer of several segments takes one descriptor.
TYPED_TEST(RingTest, UsesIndirectTables) {
  Pair<TypeParam> pair{{.size = 2, .event_index = false, .indirect = 4}};
  Random random{1};
  const auto three = segments(pair.memory, random, 3);
  const auto one = segments(pair.memory, random, 1);
  EXPECT_TRUE(pair.ring.add({three, one}, 7));
  EXPECT_TRUE(pair.ring.add({one, three}, 8));
  EXPECT_FALSE(pair.ring.add({one, {}}, 9));
  pair.ring.publish();
  for (const std::uint16_t token : {7, 8}) {
    const Popped popped = pair.device->pop().value();
    EXPECT_EQ(popped.descriptors, 1);
    expect_same(token == 7 ? three : one, popped.read);
    expect_same(token == 7 ? one : three, popped.write);
    pair.device->use(std::array{Done{popped}});
    EXPECT_EQ(pair.ring.take()->token, token);
  }
  // Longer than a table is a chain.
  const auto five = segments(pair.memory, random, 5);
  EXPECT_FALSE(pair.ring.has_room(5));
  EXPECT_FALSE(pair.ring.add({five, {}}, 9));
}

// 2.7.10, 2.8.10: a device that asks for nothing is left alone; with the event index one that asks
// for the third buffer from here hears of that.
TYPED_TEST(RingTest, NotifiesWhenTheDeviceWants) {
  for (const bool event_index : {false, true}) {
    Pair<TypeParam> pair{{.size = 4, .event_index = event_index}};
    Random random{1};
    const auto one = segments(pair.memory, random, 1);
    const auto add = [&] {
      EXPECT_TRUE(pair.ring.add({one, {}}, 0));
      return pair.ring.publish();
    };
    EXPECT_TRUE(pair.device->notifications(true));
    EXPECT_FALSE(pair.ring.publish());  // of nothing
    EXPECT_TRUE(add());
    EXPECT_EQ(add(), !event_index);  // the event was passed before
    EXPECT_FALSE(pair.device->notifications(true));
    while (pair.device->pop()) {
    }
    EXPECT_TRUE(pair.device->notifications(true));
    EXPECT_TRUE(add());
    EXPECT_TRUE(pair.device->pop());
    pair.device->notifications(false);
    EXPECT_FALSE(add());
  }
}

// 2.7.7, 2.7.8.2, 2.8.10: the same the other way.
TYPED_TEST(RingTest, InterruptsWhenTheDriverWants) {
  for (const bool event_index : {false, true}) {
    Pair<TypeParam> pair{{.size = 8, .event_index = event_index}};
    Random random{1};
    const auto one = segments(pair.memory, random, 1);
    for (int round = 0; round < 100; ++round) {
      pair.ring.interrupts_off();
      for (std::uint16_t i = 0; i < 8; ++i) EXPECT_TRUE(pair.ring.add({one, {}}, i));
      pair.ring.publish();
      const auto use = [&](int count) {
        std::vector<Done> done;
        done.reserve(static_cast<std::size_t>(count));
        for (int i = 0; i < count; ++i) done.push_back({pair.device->pop().value()});
        pair.device->use(done);
        return pair.device->must_interrupt();
      };
      EXPECT_FALSE(use(2));
      EXPECT_FALSE(pair.ring.interrupts_on(1));  // they are there already
      EXPECT_TRUE(pair.ring.take());
      EXPECT_TRUE(pair.ring.take());
      EXPECT_TRUE(pair.ring.interrupts_on(3));
      EXPECT_EQ(use(2), !event_index);  // sooner is allowed
      EXPECT_TRUE(use(2));
      while (pair.ring.take()) {
      }
      EXPECT_TRUE(pair.ring.interrupts_on(1));
      EXPECT_TRUE(use(1));
      EXPECT_TRUE(pair.ring.take());
      pair.ring.interrupts_off();
      EXPECT_FALSE(use(1));
      EXPECT_TRUE(pair.ring.take());
    }
  }
}

// 2.7.8, 2.8.22: what a device that lies writes is noticed, and does no harm.
TYPED_TEST(RingTest, BelievesNothing) {
  Random random{1};
  const auto fresh = [] { return Pair<TypeParam>{{.size = 4, .event_index = true}}; };
  {
    auto pair = fresh();
    pair.device->forge(0, 0);  // nothing is in flight
    EXPECT_TRUE(pair.ring.take().failed_with(Error::protocol_error));
  }
  for (const std::uint32_t id : {1U, 3U, 4U, 0x7FFFU, 0xFFFFU}) {
    auto pair = fresh();
    const auto one = segments(pair.memory, random, 1);
    pair.ring.add({one, {}}, 0);
    pair.ring.publish();
    pair.device->forge(id, 0);  // not in flight, or no id at all
    EXPECT_TRUE(pair.ring.take().failed_with(Error::protocol_error));
  }
  {
    auto pair = fresh();
    const auto one = segments(pair.memory, random, 1);
    pair.ring.add({{}, one}, 0);
    pair.ring.add({{}, one}, 1);
    pair.ring.publish();
    const Popped popped = pair.device->pop().value();
    pair.device->use(std::array{Done{popped, one[0].length}});
    EXPECT_EQ(pair.ring.take()->written, one[0].length);
    pair.device->use(std::array{Done{popped, 0}});  // a second time
    EXPECT_TRUE(pair.ring.take().failed_with(Error::protocol_error));
    pair.ring.clear();
    EXPECT_EQ(pair.ring.in_flight(), 0);
    EXPECT_TRUE(pair.ring.take().failed_with(Error::would_block));
  }
  {
    auto pair = fresh();
    const auto one = segments(pair.memory, random, 1);
    pair.ring.add({{}, one}, 0);
    pair.ring.publish();
    pair.device->use(std::array{Done{pair.device->pop().value(), one[0].length + 1}});  // too long
    EXPECT_TRUE(pair.ring.take().failed_with(Error::protocol_error));
  }
}

TEST(SplitRing, NoticesAnIndexThatJumps) {  // 2.7.8
  Pair<SplitRing> pair{{.size = 4}};
  Random random{1};
  const auto one = segments(pair.memory, random, 1);
  pair.ring.add({one, {}}, 0);
  pair.ring.publish();
  pair.device->use(std::array{Done{pair.device->pop().value()}, Done{}});
  EXPECT_TRUE(pair.ring.take().failed_with(Error::protocol_error));
}

TYPED_TEST(RingTest, RefusesSizes) {  // 2.7: a power of two; 2.6, 2.8: at most 32768
  TestMemory memory;
  const SharedMemory shared = *SharedMemory::allocate(memory, 1 << 20);
  EXPECT_FALSE(TypeParam::create(shared, {.size = 0}));
  EXPECT_FALSE(TypeParam::create(shared, {.size = 40'000}));
  EXPECT_EQ(TypeParam::create(shared, {.size = 12}).has_value(),
            (std::is_same_v<TypeParam, PackedRing>));
}

// Rung once or more often, it ends one wait.
class Bell {
 public:
  void ring() {
    const std::lock_guard guard{mutex_};
    rung_ = true;
    changed_.notify_one();
  }
  void wait() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return rung_; });
    rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

// 2.7.13.4.1, 2.7.8.2, 2.8.21.3: two threads that sleep whenever they may. A wake that is lost ends
// the test by never ending.
TYPED_TEST(RingTest, LosesNoWakeBetweenThreads) {
  for (const bool event_index : {false, true}) {
    Pair<TypeParam> pair{{.size = 4, .event_index = event_index}};
    constexpr int count = 20'000;
    Bell bell;
    Bell interrupt;
    std::thread device{[&] {
      for (int done = 0; done < count;) {
        pair.device->notifications(false);
        while (std::optional<Popped> popped = pair.device->pop()) {
          pair.device->use(std::array{Done{*std::move(popped)}});
          if (pair.device->must_interrupt()) interrupt.ring();
          ++done;
        }
        if (done < count && pair.device->notifications(true)) bell.wait();
      }
    }};
    Random random{1};
    const auto one = segments(pair.memory, random, 1);
    pair.ring.interrupts_off();
    for (int added = 0, taken = 0; taken < count;) {
      while (added < count && pair.ring.add({one, {}}, 0)) {
        ++added;
        if (added % 3 == 0 && pair.ring.publish()) bell.ring();
      }
      if (pair.ring.publish()) bell.ring();
      const int before = taken;
      while (pair.ring.take()) ++taken;
      if (taken != before) continue;
      if (pair.ring.interrupts_on(1)) interrupt.wait();
      pair.ring.interrupts_off();
    }
    device.join();
    EXPECT_EQ(pair.ring.in_flight(), 0);
  }
}

}  // namespace
}  // namespace lichen::driver::virtio::test
