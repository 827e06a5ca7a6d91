#include "lichen/base/heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <vector>

namespace lichen::base {
namespace {

struct Timer {
  int deadline = 0;
  HeapNode node{};
};

using Timers = Heap<Timer, &Timer::node, &Timer::deadline>;

TEST(Heap, AnEmptyHeapHasNothing) {
  Timers heap;
  EXPECT_TRUE(heap.empty());
  EXPECT_EQ(heap.top(), nullptr);
  EXPECT_EQ(heap.pop(), nullptr);
}

TEST(Heap, TheKeyMayBeAnyFunctionOfTheElement) {
  static constexpr auto latest = [](const Timer& timer) { return -timer.deadline; };
  Heap<Timer, &Timer::node, latest> heap;
  Timer a{.deadline = 1}, b{.deadline = 2};
  heap.push(a);
  heap.push(b);
  EXPECT_EQ(heap.pop(), &b);
  EXPECT_EQ(heap.pop(), &a);
}

TEST(Heap, AnElementThatLeftCanComeBack) {
  Timers heap;
  Timer a{.deadline = 1}, b{.deadline = 2};
  heap.push(b);
  heap.push(a);
  heap.erase(a);
  EXPECT_FALSE(a.node.is_linked());
  EXPECT_EQ(heap.top(), &b);
  a.deadline = 3;
  heap.push(a);
  EXPECT_TRUE(a.node.is_linked());
  EXPECT_EQ(heap.pop(), &b);
  EXPECT_EQ(heap.pop(), &a);
  EXPECT_FALSE(a.node.is_linked());
}

// A row of a million siblings, and then a chain: neither may recurse.
TEST(Heap, AMillionInOrderAndAMillionInReverse) {
  constexpr int count = 1'000'000;
  std::vector<Timer> timers(count);
  for (const bool rising : {true, false}) {
    Timers heap;
    for (int i = 0; i < count; ++i) {
      timers[i].deadline = rising ? i : count - i;
      heap.push(timers[i]);
    }
    int last = -1;
    while (Timer* timer = heap.pop()) {
      ASSERT_LE(last, timer->deadline);
      last = timer->deadline;
    }
    ASSERT_EQ(last, rising ? count - 1 : count);
  }
}

TEST(Heap, BehavesAsAMultisetUnderRandomOperations) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random{seed};
    std::array<Timer, 300> timers;
    std::multiset<int> model;
    Timers heap;
    for (int step = 0; step < 5000; ++step) {
      Timer& timer = timers[random() % timers.size()];
      if (random() % 4 == 0) {
        Timer* popped = heap.pop();
        ASSERT_EQ(popped == nullptr, model.empty());
        if (popped == nullptr) continue;
        ASSERT_EQ(popped->deadline, *model.begin());
        ASSERT_FALSE(popped->node.is_linked());
        model.erase(model.begin());
      } else if (timer.node.is_linked()) {
        model.erase(model.find(timer.deadline));
        heap.erase(timer);
      } else {
        timer.deadline = static_cast<int>(random() % 100);
        model.insert(timer.deadline);
        heap.push(timer);
      }
      ASSERT_EQ(heap.empty(), model.empty());
      if (!model.empty()) {
        ASSERT_EQ(heap.top()->deadline, *model.begin());
      }
    }
    while (heap.pop() != nullptr) {
    }
    EXPECT_TRUE(std::ranges::none_of(timers, [](Timer& t) { return t.node.is_linked(); }));
  }
}

}  // namespace
}  // namespace lichen::base
