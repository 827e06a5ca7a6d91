#include "lichen/coro/task.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "lichen/coro/generator.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/coro/trace.hpp"

namespace lichen::coro {
namespace {

using test::TestLoop;

Task<Result<int>> number(int n) { co_return n; }
Task<Result<int>> failure() { co_return Error::not_found; }
Task<int> plain(int n) { co_return n; }
Task<std::string> text() { co_return std::string(100, 'x'); }
Task<> nothing() { co_return; }
Task<std::unique_ptr<int>> boxed(int n) { co_return std::make_unique<int>(n); }

Task<Result<int>> sum_down(int n) {
  if (n == 0) co_return 0;
  const int rest = CO_TRY(co_await sum_down(n - 1));
  co_return rest + n;
}

class TaskTest : public testing::Test {
 protected:
  void TearDown() override {
    test::frames_until_failure = ~std::size_t{0};
    EXPECT_EQ(test::frames_alive, 0U);
  }
  TestLoop loop_;
};

TEST_F(TaskTest, YieldsValuesAndErrors) {
  EXPECT_EQ(**loop_.run(number(7)), 7);
  EXPECT_EQ(loop_.run(failure())->error(), Error::not_found);
  EXPECT_EQ(**loop_.run(plain(3)), 3);
  EXPECT_EQ((*loop_.run(text()))->size(), 100U);
  EXPECT_TRUE(loop_.run(nothing())->has_value());
  EXPECT_EQ(***loop_.run(boxed(5)), 5);
}

TEST_F(TaskTest, PropagatesWithTry) {
  auto outer = []() -> Task<Result<int>> { co_return CO_TRY(co_await failure()) + 1; };
  EXPECT_EQ(loop_.run(outer())->error(), Error::not_found);
}

TEST_F(TaskTest, IsLazyAndMayBeDroppedBeforeItStarts) {
  bool ran = false;
  auto body = [](bool& flag) -> Task<> {
    flag = true;
    co_return;
  };
  {
    auto task = body(ran);
  }
  EXPECT_FALSE(ran);
}

TEST_F(TaskTest, DeepChainsUseNoStack) { EXPECT_EQ(**loop_.run(sum_down(60'000)), 1'800'030'000); }

TEST_F(TaskTest, AFrameThatCannotBeHadIsAnError) {
  for (std::size_t frames : {0U, 1U, 2U, 5U}) {
    test::frames_until_failure = frames;
    EXPECT_EQ(loop_.run(sum_down(10))->error(), Error::no_memory) << frames;
  }
  test::frames_until_failure = 0;
  EXPECT_EQ(loop_.run(nothing())->error(), Error::no_memory);
}

TEST_F(TaskTest, OverAlignedLocalsAreAligned) {
  struct alignas(64) Line {
    char bytes[64];
  };
  auto body = []() -> Task<Result<bool>> {
    Line line{};
    co_await yield();
    line.bytes[0] = 1;
    co_return reinterpret_cast<std::uintptr_t>(&line) % 64 == 0;
  };
  EXPECT_TRUE(**loop_.run(body()));
}

Generator<int> count_to(int n) {
  for (int i = 1; i <= n; ++i) {
    co_await yield();
    co_yield i;
  }
  co_return Error{};
}

TEST_F(TaskTest, GeneratorsYieldWaitAndEnd) {
  auto body = [](int n) -> Task<Result<int>> {
    int sum = 0;
    auto numbers = count_to(n);
    for (;;) {
      auto next = co_await numbers.next();
      if (!next) {
        EXPECT_EQ(next.error(), Error::end_of_stream);
        break;
      }
      sum += *next;
    }
    auto again = co_await numbers.next();
    EXPECT_EQ(again.error(), Error::end_of_stream);
    auto dropped = count_to(5);
    co_return sum + CO_TRY(co_await dropped.next());
  };
  EXPECT_EQ(**loop_.run(body(4)), 11);
}

Task<Result<std::size_t>> inner_trace(std::span<TraceLine> lines) {
  co_return co_await current_trace(lines);
}
Task<Result<std::size_t>> outer_trace(std::span<TraceLine> lines) {
  co_return co_await inner_trace(lines);
}

TEST_F(TaskTest, TracesFromLeafToRoot) {
  TraceLine lines[8];
  const std::size_t count = **loop_.run(outer_trace(lines));
  ASSERT_EQ(count, 3U);
  EXPECT_NE(std::string{lines[0].function}.find("inner_trace"), std::string::npos);
  EXPECT_NE(std::string{lines[1].function}.find("outer_trace"), std::string::npos);
  EXPECT_EQ(lines[2].kind, TraceLine::Kind::spawned);
  EXPECT_LT(lines[0].line, lines[1].line);
  char buffer[200];
  EXPECT_EQ(format_line(lines[0], buffer).substr(0, 19), "  at task_test.cpp:");
}

}  // namespace
}  // namespace lichen::coro
