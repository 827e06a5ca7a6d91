#include "lichen/base/list.hpp"

#include <gtest/gtest.h>

#include <array>
#include <list>
#include <random>
#include <vector>

namespace lichen::base {
namespace {

struct Base {
  int padding = 0;
  ListNode node;
};

struct Item : Base {
  int value = 0;
  ListNode other_node;
};

using Items = List<Item, &Item::node>;  // an inherited member
using OtherItems = List<Item, &Item::other_node>;

std::vector<int> values(auto& list) {
  std::vector<int> forwards, backwards;
  for (Item& item : list) forwards.push_back(item.value);
  for (auto place = list.end(); place != list.begin();) backwards.push_back((--place)->value);
  EXPECT_TRUE(std::equal(forwards.begin(), forwards.end(), backwards.rbegin(), backwards.rend()));
  return forwards;
}

TEST(List, AnEmptyListHasNothing) {
  Items list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.back(), nullptr);
  EXPECT_EQ(list.pop_front(), nullptr);
  EXPECT_EQ(list.pop_back(), nullptr);
  EXPECT_EQ(list.begin(), list.end());
}

TEST(List, AnElementLeavesWithoutItsList) {
  Items list;
  std::array<Item, 3> items;
  for (int i = 0; i < 3; ++i) {
    items[i].value = i;
    list.push_back(items[i]);
  }
  EXPECT_TRUE(items[1].node.is_linked());
  items[1].node.unlink();
  EXPECT_FALSE(items[1].node.is_linked());
  EXPECT_EQ(values(list), (std::vector{0, 2}));
  items[0].node.unlink();
  items[2].node.unlink();
  EXPECT_TRUE(list.empty());
}

TEST(List, AnElementKnowsItsPlace) {
  Items list;
  std::array<Item, 3> items;
  for (int i = 0; i < 2; ++i) {
    items[i].value = i;
    list.push_back(items[i]);
  }
  items[2].value = 2;
  EXPECT_EQ(&*list.place_of(items[1]), &items[1]);
  list.insert_before(list.place_of(items[1]), items[2]);
  EXPECT_EQ(values(list), (std::vector{0, 2, 1}));
  while (list.pop_front() != nullptr) {
  }
}

TEST(List, AnElementIsInSeveralListsThroughSeveralNodes) {
  Items list;
  OtherItems other;
  Item item;
  list.push_back(item);
  other.push_back(item);
  EXPECT_EQ(list.pop_front(), &item);
  EXPECT_EQ(other.front(), &item);
  EXPECT_EQ(other.pop_back(), &item);
}

TEST(List, EraseReturnsThePlaceBehind) {
  Items list;
  std::array<Item, 6> items;
  for (int i = 0; i < 6; ++i) {
    items[i].value = i;
    list.push_back(items[i]);
  }
  for (auto place = list.begin(); place != list.end();) {
    place = place->value % 2 == 0 ? list.erase(place) : std::next(place);
  }
  EXPECT_EQ(values(list), (std::vector{1, 3, 5}));
  list.insert_before(std::next(list.begin()), items[0]);
  EXPECT_EQ(values(list), (std::vector{1, 0, 3, 5}));
  while (list.pop_front() != nullptr) {
  }
}

TEST(List, BehavesAsStdListUnderRandomOperations) {
  std::mt19937 random{2024};
  constexpr int count = 64;
  std::array<Item, count> items;
  for (int i = 0; i < count; ++i) items[i].value = i;
  std::array<Items, 2> lists;
  std::array<std::list<int>, 2> models;

  for (int step = 0; step < 20000; ++step) {
    const unsigned which = random() % 2;
    Items& list = lists[which];
    std::list<int>& model = models[which];
    Item& item = items[random() % count];
    switch (random() % 6) {
      case 0:
        if (item.node.is_linked()) {
          item.node.unlink();
          for (auto& each : models) each.remove(item.value);
        } else {
          list.push_back(item);
          model.push_back(item.value);
        }
        break;
      case 1:
        if (!item.node.is_linked()) {
          list.push_front(item);
          model.push_front(item.value);
        }
        break;
      case 2:
        if (Item* popped = list.pop_front()) {
          ASSERT_EQ(popped->value, model.front());
          model.pop_front();
        }
        break;
      case 3:
        if (Item* popped = list.pop_back()) {
          ASSERT_EQ(popped->value, model.back());
          model.pop_back();
        }
        break;
      case 4:
        if (random() % 8 == 0) {
          list.append(lists[1 - which]);
          model.splice(model.end(), models[1 - which]);
        }
        break;
      case 5: ASSERT_EQ(values(list), std::vector(model.begin(), model.end())); break;
    }
    ASSERT_EQ(list.empty(), model.empty());
  }
  for (Items& list : lists) {
    while (list.pop_front() != nullptr) {
    }
  }
}

}  // namespace
}  // namespace lichen::base
