#include "lichen/base/result.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace lichen::base {
namespace {

Result<int> positive(int value) {
  if (value <= 0) return Error::out_of_range;
  return value;
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = positive(3);
  ASSERT_TRUE(good);
  EXPECT_TRUE(good.has_value());
  EXPECT_EQ(*good, 3);
  EXPECT_EQ(good.value(), 3);
  EXPECT_FALSE(good.failed_with(Error::out_of_range));

  const Result<int> bad = positive(-1);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error(), Error::out_of_range);
  EXPECT_TRUE(bad.failed_with(Error::out_of_range));
  EXPECT_EQ(Result<int>{bad}.value_or(9), 9);
  EXPECT_EQ(positive(4).value_or(9), 4);
}

TEST(Result, OfNothing) {
  EXPECT_TRUE(Result<>{});
  const Result<> failed = Error::busy;
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.error(), Error::busy);
}

TEST(Result, TravelsInTwoRegisters) {
  static_assert(std::is_trivially_copyable_v<Result<std::size_t>>);
  static_assert(sizeof(Result<std::size_t>) == 2 * sizeof(std::size_t));
  static_assert(std::is_trivially_copyable_v<Result<>> && sizeof(Result<>) == 1);
}

TEST(Result, AFalseValueIsStillAValue) {
  const Result<bool> no = false;
  EXPECT_TRUE(no.has_value());
  EXPECT_FALSE(*no);
  const Result<bool> failed = Error::not_found;
  EXPECT_FALSE(failed.has_value());
}

TEST(Result, MovesWhatCannotBeCopied) {
  using Owned = Result<std::unique_ptr<int>>;
  static_assert(!std::is_copy_constructible_v<Owned>);
  Owned first = std::make_unique<int>(5);
  Owned second = std::move(first);
  ASSERT_TRUE(second);
  const std::unique_ptr<int> taken = *std::move(second);
  EXPECT_EQ(*taken, 5);
}

TEST(Result, AssignmentReplacesWhicheverWasHeld) {
  Result<std::string> result = std::string(100, 'a');
  result = Result<std::string>{Error::closed};
  EXPECT_EQ(result.error(), Error::closed);
  result = Result<std::string>{std::string(100, 'b')};
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, std::string(100, 'b'));
  Result<std::string> copy = result;
  EXPECT_EQ(*copy, *result);
}

TEST(Result, DestroysTheValueOnce) {
  const auto counter = std::make_shared<int>();
  {
    Result<std::shared_ptr<int>> result = counter;
    Result<std::shared_ptr<int>> copy = result;
    Result<std::shared_ptr<int>> moved = std::move(result);
    EXPECT_EQ(counter.use_count(), 3);
    copy = Result<std::shared_ptr<int>>{Error::busy};
    EXPECT_EQ(counter.use_count(), 2);
  }
  EXPECT_EQ(counter.use_count(), 1);
}

Result<std::unique_ptr<int>> doubled(int value) {
  auto owned = std::make_unique<int>(TRY(positive(value)));
  return std::make_unique<int>(2 * *TRY(Result<std::unique_ptr<int>>{std::move(owned)}));
}

TEST(Result, TryUnwrapsOrReturnsTheError) {
  EXPECT_EQ(**doubled(4), 8);
  EXPECT_EQ(doubled(0).error(), Error::out_of_range);
}

Result<> check(int value) {
  TRY(positive(TRY(positive(value)) - 1));
  return {};
}

TEST(Result, TryNestsAndDropsValues) {
  EXPECT_TRUE(check(2));
  EXPECT_EQ(check(1).error(), Error::out_of_range);
  EXPECT_EQ(check(0).error(), Error::out_of_range);
}

constexpr Result<int> constant = 4;
static_assert(constant && *constant == 4);

}  // namespace
}  // namespace lichen::base
