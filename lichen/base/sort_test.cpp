#include "lichen/base/sort.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace lichen::base {
namespace {

TEST(Sort, OrdersAnyNumberOfElements) {
  std::mt19937 random{7};
  for (std::size_t count = 0; count < 200; ++count) {
    std::vector<unsigned> numbers(count);
    for (unsigned& number : numbers) number = random() % 64;  // some are equal
    std::vector<unsigned> expected = numbers;
    std::ranges::sort(expected);
    sort(std::span{numbers}, std::less<>{});
    EXPECT_EQ(numbers, expected);
  }
}

TEST(Sort, WhatIsInOrderStaysSo) {
  std::vector<int> numbers{1, 2, 3, 4, 5, 6, 7};
  const std::vector<int> expected = numbers;
  sort(std::span{numbers}, std::less<>{});
  EXPECT_EQ(numbers, expected);
}

TEST(Sort, TheOrderIsTheCallersAndElementsAreMoved) {
  std::vector<std::string> words{"b", "ccc", "dd", std::string(100, 'a'), ""};
  sort(std::span{words}, [](const auto& a, const auto& b) { return a.size() > b.size(); });
  EXPECT_EQ(words, (std::vector<std::string>{std::string(100, 'a'), "ccc", "dd", "b", ""}));
}

}  // namespace
}  // namespace lichen::base
