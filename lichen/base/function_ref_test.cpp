#include "lichen/base/function_ref.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>

namespace lichen::base {
namespace {

int twice(int value) { return 2 * value; }

int apply(FunctionRef<int(int)> function, int value) { return function(value); }

TEST(FunctionRef, CallsAFunction) {
  EXPECT_EQ(apply(twice, 21), 42);
  EXPECT_EQ(apply(&twice, 4), 8);
}

TEST(FunctionRef, CallsALambdaWithState) {
  int calls = 0;
  EXPECT_EQ(apply([&](int value) { return value + ++calls; }, 1), 2);
  EXPECT_EQ(calls, 1);
}

TEST(FunctionRef, ChangesTheCallableItRefersTo) {
  auto counter = [count = 0]() mutable { return ++count; };
  const FunctionRef<int()> first = counter;
  const FunctionRef<int()> second = first;  // a copy refers to the callable, not to the reference
  EXPECT_EQ(first(), 1);
  EXPECT_EQ(second(), 2);
  EXPECT_EQ(counter(), 3);
}

TEST(FunctionRef, HonoursConst) {
  struct Overloaded {
    int operator()() { return 1; }
    int operator()() const { return 2; }
  };
  Overloaded object;
  EXPECT_EQ(FunctionRef<int()>{object}(), 1);
  EXPECT_EQ(FunctionRef<int()>{std::as_const(object)}(), 2);
}

TEST(FunctionRef, PassesMoveOnlyArgumentsAndReferencesThrough) {
  const auto take = [](std::unique_ptr<int> pointer) { return *pointer; };
  EXPECT_EQ(FunctionRef<int(std::unique_ptr<int>)>{take}(std::make_unique<int>(5)), 5);
  int value = 0;
  const auto self = [](int& reference) -> int& { return reference; };
  EXPECT_EQ(&FunctionRef<int&(int&)>{self}(value), &value);
}

TEST(FunctionRef, MayDropTheResult) {
  int calls = 0;
  const auto count = [&] { return ++calls; };
  FunctionRef<void()>{count}();
  EXPECT_EQ(calls, 1);
}

constexpr FunctionRef<int(int)> constant{twice};

TEST(FunctionRef, IsTwoWordsThatCostNothingToCopy) {
  static_assert(sizeof(FunctionRef<void()>) == 2 * sizeof(void*));
  static_assert(std::is_trivially_copyable_v<FunctionRef<void()>>);
  static_assert(std::is_nothrow_invocable_r_v<int, FunctionRef<int(int)>, int>);
  static_assert(!std::is_constructible_v<FunctionRef<int(int)>, int (*)(const char*)>);
  static_assert(!std::is_constructible_v<FunctionRef<int(int)>, const char*>);
  EXPECT_EQ(constant(3), 6);
}

}  // namespace
}  // namespace lichen::base
