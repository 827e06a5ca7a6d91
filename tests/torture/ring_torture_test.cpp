// BatchRing and Inbox: each element is taken exactly once, whoever takes it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "lichen/sched/batch_ring.hpp"
#include "lichen/sched/inbox.hpp"

namespace lichen::sched {
namespace {

using coro::Runnable;

TEST(BatchRingTest, IsFirstInFirstOutAndBounded) {
  BatchRing ring;
  std::vector<Runnable> items(BatchRing::capacity + 1);
  EXPECT_EQ(ring.pop(), nullptr);
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < BatchRing::capacity; ++i) EXPECT_TRUE(ring.push(items[i]));
    EXPECT_FALSE(ring.push(items.back()));
    EXPECT_EQ(ring.size(), BatchRing::capacity);
    for (std::size_t i = 0; i < BatchRing::capacity; ++i) EXPECT_EQ(ring.pop(), &items[i]);
    EXPECT_TRUE(ring.empty());
  }
}

TEST(BatchRingTest, AThiefTakesTheOldestHalfRoundedUp) {
  for (std::size_t count : {1U, 2U, 3U, 7U, 256U}) {
    BatchRing ring;
    BatchRing thief;
    std::vector<Runnable> items(count);
    for (auto& item : items) ring.push(item);
    const std::size_t half = (count + 1) / 2;
    EXPECT_EQ(ring.steal_half(thief), &items[0]);
    EXPECT_EQ(thief.size(), half - 1);
    for (std::size_t i = 1; i < half; ++i) EXPECT_EQ(thief.pop(), &items[i]);
    for (std::size_t i = half; i < count; ++i) EXPECT_EQ(ring.pop(), &items[i]);
  }
  BatchRing empty;
  BatchRing thief;
  EXPECT_EQ(empty.steal_half(thief), nullptr);
}

struct Item {
  Runnable runnable{};
  std::atomic<int> taken{0};
  int payload = 0;  // written by the owner before it is published, and read by whoever takes it
};

// Owners push and pop; all of them steal from each other.
TEST(BatchRingTorture, EveryBatchIsTakenOnce) {
  constexpr unsigned cores = 4;
  constexpr std::size_t each = 60'000;
  std::array<BatchRing, cores> rings;
  const auto items = std::make_unique<Item[]>(cores * each);
  std::atomic<std::size_t> left{cores * each};
  auto take = [&](Runnable* runnable) {
    Item& item = *reinterpret_cast<Item*>(runnable);
    EXPECT_EQ(item.taken.fetch_add(1, std::memory_order_relaxed), 0);
    EXPECT_EQ(item.payload, static_cast<int>(&item - items.get()));
    left.fetch_sub(1, std::memory_order_relaxed);
  };
  std::vector<std::thread> threads;
  for (unsigned core = 0; core < cores; ++core)
    threads.emplace_back([&, core] {
      BatchRing& own = rings[core];
      std::size_t next = core * each;
      const std::size_t end = next + each;
      unsigned turn = core;
      while (left.load(std::memory_order_relaxed) > 0) {
        for (int i = 0; i < 20 && next < end; ++i) {
          items[next].payload = static_cast<int>(next);
          if (!own.push(items[next].runnable)) break;
          ++next;
        }
        if (turn++ % 3 != 0)
          if (Runnable* runnable = own.pop()) take(runnable);
        if (own.empty()) {
          if (Runnable* stolen = rings[turn % cores].steal_half(own))
            take(stolen);
          else if (next == end)
            std::this_thread::yield();
        } else if (Runnable* stolen = rings[turn % cores].pop()) {
          take(stolen);
        }
      }
    });
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < cores * each; ++i) ASSERT_EQ(items[i].taken.load(), 1) << i;
}

struct Letter {
  Letter* next = nullptr;
  unsigned writer = 0;
  unsigned number = 0;
};

TEST(InboxTest, GivesBackInOrder) {
  Inbox<Letter, &Letter::next> inbox;
  EXPECT_TRUE(inbox.empty());
  EXPECT_EQ(inbox.take_all(), nullptr);
  std::array<Letter, 3> letters;
  for (auto& letter : letters) inbox.push(letter);
  EXPECT_FALSE(inbox.empty());
  Letter* first = inbox.take_all();
  EXPECT_TRUE(inbox.empty());
  for (auto& letter : letters) {
    EXPECT_EQ(first, &letter);
    first = first->next;
  }
  EXPECT_EQ(first, nullptr);
}

TEST(InboxTorture, EachWritersOrderIsKeptAndNothingIsLost) {
  constexpr unsigned writers = 4;
  constexpr unsigned each = 50'000;
  Inbox<Letter, &Letter::next> inbox;
  std::array<std::vector<Letter>, writers> letters;
  std::vector<std::thread> threads;
  for (unsigned w = 0; w < writers; ++w) {
    letters[w].resize(each);
    threads.emplace_back([&, w] {
      for (unsigned i = 0; i < each; ++i) {
        letters[w][i].writer = w;
        letters[w][i].number = i;
        inbox.push(letters[w][i]);
      }
    });
  }
  std::array<unsigned, writers> next{};
  for (unsigned got = 0; got < writers * each;) {
    Letter* letter = inbox.take_all();
    if (!letter) std::this_thread::yield();
    for (; letter; letter = letter->next, ++got) ASSERT_EQ(letter->number, next[letter->writer]++);
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(inbox.empty());
}

}  // namespace
}  // namespace lichen::sched
