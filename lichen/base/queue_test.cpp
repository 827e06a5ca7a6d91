#include "lichen/base/queue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <random>
#include <vector>

namespace lichen::base {
namespace {

struct Item {
  int value = 0;
  bool queued = false;
  Item* next = nullptr;
};

using Items = Queue<Item, &Item::next>;

std::vector<int> values(const Items& queue) {
  std::vector<int> out;
  for (const Item& item : queue) out.push_back(item.value);
  return out;
}

TEST(Queue, KeepsOrder) {
  Items queue;
  std::array<Item, 3> items{{{.value = 1}, {.value = 2}, {.value = 3}}};
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.pop_front(), nullptr);
  queue.push_back(items[1]);
  queue.push_back(items[2]);
  queue.push_front(items[0]);
  EXPECT_EQ(values(queue), (std::vector{1, 2, 3}));
  EXPECT_EQ(queue.front(), &items[0]);
  EXPECT_EQ(queue.pop_front(), &items[0]);
  EXPECT_EQ(queue.pop_front(), &items[1]);
  EXPECT_EQ(queue.pop_front(), &items[2]);
  EXPECT_EQ(queue.pop_front(), nullptr);
}

TEST(Queue, AMovedQueueIsEmpty) {
  Items queue;
  Item item;
  queue.push_back(item);
  Items other{std::move(queue)};
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(other.front(), &item);
  queue = std::move(other);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(queue.pop_front(), &item);
}

TEST(Queue, BehavesAsADequeUnderRandomOperations) {
  std::mt19937 random{7};
  std::array<Item, 64> items;
  for (int i = 0; i < 64; ++i) items[i].value = i;
  std::array<Items, 2> queues;
  std::array<std::deque<int>, 2> models;

  for (int step = 0; step < 20000; ++step) {
    const unsigned which = random() % 2;
    Items& queue = queues[which];
    std::deque<int>& model = models[which];
    Item& item = items[random() % items.size()];
    switch (random() % 5) {
      case 0:
        if (std::exchange(item.queued, true)) break;
        queue.push_back(item);
        model.push_back(item.value);
        break;
      case 1:
        if (std::exchange(item.queued, true)) break;
        queue.push_front(item);
        model.push_front(item.value);
        break;
      case 2:
        if (Item* popped = queue.pop_front()) {
          popped->queued = false;
          ASSERT_EQ(popped->value, model.front());
          model.pop_front();
        }
        break;
      case 3:
        if (random() % 8 == 0) {
          queue.append(std::move(queues[1 - which]));
          std::deque<int>& other = models[1 - which];
          model.insert(model.end(), other.begin(), other.end());
          other.clear();
        }
        break;
      case 4: ASSERT_EQ(values(queue), std::vector(model.begin(), model.end())); break;
    }
    ASSERT_EQ(queue.empty(), model.empty());
  }
}

}  // namespace
}  // namespace lichen::base
