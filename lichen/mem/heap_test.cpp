#include "lichen/mem/heap.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

namespace lichen::mem {
namespace {

TEST(SizeClass, EachHoldsItsSizesAndNoClassIsSkipped) {
  for (std::size_t size = 1; size <= max_block; ++size) {
    const unsigned found = size_class(size);
    ASSERT_GE(block_size(found), size);
    if (found > 1) ASSERT_LT(block_size(found - 1), size);
  }
}

// Random sizes against a map of what is live: no overlap, contents kept, all aligned.
TEST(Heap, KeepsEveryBlockApart) {
  Account account;
  {
    Heap heap{account};
    std::mt19937 random{7};
    std::map<std::byte*, std::pair<std::size_t, int>> live;
    for (int step = 0; step < 60'000; ++step) {
      if (live.size() < 2'000 && random() % 5 < 3) {
        const std::size_t size = random() % 50 == 0 ? random() % 200'000 : random() % 2'000;
        auto* block = static_cast<std::byte*>(heap.allocate(size));
        ASSERT_NE(block, nullptr);
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % 16, 0u);
        auto after = live.lower_bound(block);
        if (after != live.end()) ASSERT_LE(block + size, after->first);
        if (after != live.begin()) {
          auto before = std::prev(after);
          ASSERT_LE(before->first + before->second.first, block);
        }
        std::memset(block, step & 0x7f, size);
        live[block] = {size, step & 0x7f};
      } else if (!live.empty()) {
        auto at = std::next(live.begin(), static_cast<long>(random() % live.size()));
        for (std::size_t i = 0; i < at->second.first; i += 97)
          ASSERT_EQ(static_cast<int>(at->first[i]), at->second.second);
        heap.free(at->first);
        live.erase(at);
      }
    }
    for (auto& [block, rest] : live) heap.free(block, rest.first);
  }
  EXPECT_EQ(account.used(), 0u);
  EXPECT_EQ(account.leaked(), 0u);
}

TEST(Heap, AtTheLimitGivesNullAndGoesOn) {
  Account account{4 * 65536};
  Heap heap{account};
  std::vector<void*> blocks;
  while (void* block = heap.allocate(1'000)) blocks.push_back(block);
  EXPECT_EQ(blocks.size(), 4u * (65536 / 1024));
  EXPECT_GT(account.refusals(), 0u);
  EXPECT_EQ(heap.allocate(100'000), nullptr);
  EXPECT_EQ(heap.allocate(SIZE_MAX), nullptr);
  for (void* block : blocks) heap.free(block);
  void* again = heap.allocate(30'000);
  EXPECT_NE(again, nullptr);
  heap.free(again);
}

// What waits in a checked heap's quarantine is no reason to refuse.
TEST(Heap, AtTheLimitReusesWhatWasFreed) {
  Account account{65536};
  Heap heap{account};
  std::vector<void*> blocks;
  while (void* block = heap.allocate(1'000)) blocks.push_back(block);
  ASSERT_EQ(blocks.size(), 65536u / 1024);
  for (std::size_t i = 1; i < blocks.size(); ++i) heap.free(blocks[i]);
  blocks[1] = heap.allocate(1'000);
  EXPECT_NE(blocks[1], nullptr);
  heap.free(blocks[1]);
  heap.free(blocks[0]);
}

TEST(Account, RemembersItsPeak) {
  Account account;
  Heap heap{account};
  void* block = heap.allocate(300'000);
  ASSERT_NE(block, nullptr);
  const std::size_t most = account.used();
  heap.free(block);
  EXPECT_EQ(account.used(), 0u);
  EXPECT_EQ(account.peak(), most);
}

TEST(Heap, AlignsAsAsked) {
  Account account;
  Heap heap{account};
  for (std::size_t alignment = 16; alignment <= max_block; alignment *= 2)
    for (std::size_t size : {1, 100, 700, 5'000, 40'000}) {
      void* block = heap.allocate_aligned(size, alignment);
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u) << size;
      heap.free(block);
    }
  EXPECT_EQ(heap.allocate_aligned(8, 2 * max_block), nullptr);
}

TEST(Heap, CountsLeaksAndGivesTheMemoryBack) {
  Account account;
  {
    Heap heap{account};
    for (int i = 0; i < 3; ++i) ASSERT_NE(heap.allocate(48), nullptr);
    EXPECT_EQ(heap.statistics().classes[size_class(48)].live, 3u);
  }
  EXPECT_EQ(account.leaked(), 3u);
  EXPECT_EQ(account.used(), 0u);
}

TEST(Heap, SteadyStateMakesNoSystemCalls) {
  Account account;
  Heap heap{account};
  heap.free(heap.allocate(200));
  const auto before = heap.statistics().system_calls;
  for (int i = 0; i < 10'000; ++i) heap.free(heap.allocate(200));
  EXPECT_EQ(heap.statistics().system_calls, before);
}

// Blocks of one core freed by two others while it goes on allocating.
TEST(Heap, TakesInWhatOtherCoresFree) {
  Account account;
  Heap home{account};
  constexpr int rounds = 200;
  for (int round = 0; round < rounds; ++round) {
    std::vector<void*> blocks[2];
    for (int i = 0; i < 400; ++i) blocks[i % 2].push_back(home.allocate(64));
    std::thread threads[2];
    for (int t = 0; t < 2; ++t)
      threads[t] = std::thread{[&, t] {
        Heap other{account};
        for (void* block : blocks[t]) other.free(block);
      }};
    for (int i = 0; i < 400; ++i) home.free(home.allocate(64));
    for (auto& thread : threads) thread.join();
  }
  home.collect();
  EXPECT_LE(home.statistics().classes[size_class(64)].slabs, 4u);
}

#if LICHEN_POISON && !__has_feature(address_sanitizer)
TEST(HeapDeathTest, FindsASecondFree) {
  Account account;
  Heap heap{account};
  void* block = heap.allocate(64);
  heap.free(block);
  EXPECT_DEATH(heap.free(block), "freed twice");
}
#endif
#if __has_feature(address_sanitizer)
TEST(HeapDeathTest, SanitizerFindsUseAfterFree) {
  Account account;
  Heap heap{account};
  auto* block = static_cast<volatile int*>(heap.allocate(64));
  heap.free(const_cast<int*>(block));
  EXPECT_DEATH(block[0] = 1, "use-after-poison");
}
#endif

}  // namespace
}  // namespace lichen::mem
