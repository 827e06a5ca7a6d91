#include "lichen/sched/stall.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/strand.hpp"

namespace lichen::sched {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::uint64_t ms = 1'000'000;

std::string logged;

class StallTest : public testing::Test {
 protected:
  void SetUp() override {
    logged.clear();
    base::log::set_sink([](base::log::Level, std::string_view line) noexcept {
      logged += line;
      logged += '\n';
    });
  }
  void TearDown() override { base::log::set_sink(nullptr); }

  void report(std::uint64_t since, std::uint64_t now, const coro::Strand* strand = nullptr,
              std::uint64_t kept = 0) {
    monitor.report(since, now, kept, 7, "a group", strand, {}, 0);
  }

  StallMonitor monitor{3};
};

TEST_F(StallTest, IsDueAfterTheThreshold) {
  EXPECT_FALSE(monitor.due(1'000 * ms, 1'019 * ms));
  EXPECT_TRUE(monitor.due(1'000 * ms, 1'020 * ms));
  monitor.set_threshold(5ms);
  EXPECT_TRUE(monitor.due(1'000 * ms, 1'005 * ms));
  EXPECT_EQ(monitor.next_look(1'000 * ms), 1'005 * ms);
  monitor.set_threshold(0ms);
  EXPECT_FALSE(monitor.due(1'000 * ms, 9'000 * ms));
  EXPECT_EQ(monitor.next_look(1'000 * ms), UINT64_MAX);
}

TEST_F(StallTest, IsDueAgainWhenItHasBecomeTwiceAsLong) {
  report(1'000 * ms, 1'030 * ms);
  EXPECT_FALSE(monitor.due(1'000 * ms, 1'059 * ms));
  EXPECT_EQ(monitor.next_look(1'000 * ms), 1'060 * ms);
  EXPECT_TRUE(monitor.due(1'000 * ms, 1'060 * ms));
  EXPECT_TRUE(monitor.due(1'031 * ms, 1'051 * ms)) << "the next time it is held";
}

TEST_F(StallTest, TellsWhoHeldTheCore) {
  coro::Scope scope{coro::Scope::Shielded{}};
  const auto here = std::source_location::current();
  const coro::Strand strand{scope, here, 7, nullptr};
  report(1'000 * ms, 1'033 * ms, &strand);
  EXPECT_THAT(logged, HasSubstr("core 3 was held for 33 ms by a task of a group"));
  EXPECT_THAT(logged, HasSubstr("stall_test.cpp:" + std::to_string(here.line())));
  const auto stalls = monitor.latest();
  ASSERT_EQ(stalls.size(), 1U);
  EXPECT_EQ(stalls[0].held_ns, 33 * ms);
  EXPECT_EQ(stalls[0].lane, 7U);
  ASSERT_EQ(stalls[0].line_count, 1U);
  EXPECT_EQ(stalls[0].lines[0].line, here.line());
}

TEST_F(StallTest, TellsApartWhatTheHostHad) {
  monitor.note_host(70 * ms);
  EXPECT_EQ(monitor.kept_since(1'000 * ms, 1'040 * ms, 70 * ms), 0U);
  EXPECT_EQ(monitor.kept_since(1'000 * ms, 1'040 * ms, 82 * ms), 12 * ms);
  EXPECT_EQ(monitor.kept_since(1'000 * ms, 1'040 * ms, 200 * ms), 40 * ms) << "not more than all";
  EXPECT_EQ(monitor.kept_since(1'000 * ms, 1'040 * ms, 69 * ms), 0U)
      << "clocks are not read at once";
  EXPECT_TRUE(monitor.is_stall(20 * ms));
  EXPECT_FALSE(monitor.is_stall(20 * ms - 1));
  report(1'000 * ms, 1'040 * ms, nullptr, 12 * ms);
  EXPECT_THAT(logged,
              HasSubstr("was held for 28 ms by a task of a group while others waited, 12 ms "
                        "more by the host"));
  ASSERT_EQ(monitor.latest().size(), 1U);
  EXPECT_EQ(monitor.latest()[0].held_ns, 28 * ms);
  EXPECT_EQ(monitor.latest()[0].kept_ns, 12 * ms);
}

TEST_F(StallTest, SaysSoWhenItDoesNotKnowTheTask) {
  report(1'000 * ms, 1'033 * ms);
  EXPECT_THAT(logged, HasSubstr("in code of the runtime or the host"));
}

TEST_F(StallTest, LogsWhatAHandlerHasFoundWhenItMay) {
  const auto report_in_handler = [this](std::uint64_t since) {
    monitor.report_in_handler(since, since + 33 * ms, 0, 7, "a group", nullptr, {}, 0);
  };
  report_in_handler(1'000 * ms);
  EXPECT_EQ(monitor.count(), 1U);
  EXPECT_EQ(logged, "") << "the sink is not fit for handlers";
  EXPECT_TRUE(monitor.is_late());
  EXPECT_TRUE(monitor.log_late(1'040 * ms));
  EXPECT_THAT(logged, HasSubstr("core 3 was held for 33 ms by a task of a group"));
  EXPECT_FALSE(monitor.log_late(1'040 * ms));
  EXPECT_EQ(monitor.count(), 1U);

  logged.clear();
  base::log::set_sink(nullptr);
  base::log::set_default_sink(
      [](base::log::Level, std::string_view line) noexcept { logged += line; });
  report_in_handler(3'000 * ms);
  EXPECT_THAT(logged, HasSubstr("core 3 was held for 33 ms by a task of a group"));
  EXPECT_FALSE(monitor.is_late());
}

TEST_F(StallTest, KeepsTheLatestAndCountsAll) {
  for (std::uint64_t i = 1; i <= 20; ++i) report(i * 1'000 * ms, i * 1'000 * ms + 20 * ms + i);
  EXPECT_EQ(monitor.count(), 20U);
  const auto stalls = monitor.latest();
  ASSERT_EQ(stalls.size(), 8U);
  EXPECT_EQ(stalls.front().held_ns, 20 * ms + 13);
  EXPECT_EQ(stalls.back().held_ns, 20 * ms + 20);
}

TEST_F(StallTest, DoesNotFloodTheLog) {
  for (std::uint64_t i = 1; i <= 50; ++i) report(i * 30 * ms, i * 30 * ms + 25 * ms);
  std::size_t reports = 0;
  for (std::size_t at = 0; (at = logged.find("was held", at)) != std::string::npos; ++at) ++reports;
  EXPECT_EQ(reports, 2U) << "one a second";
  EXPECT_THAT(logged, HasSubstr("more since the last report"));
  EXPECT_EQ(monitor.count(), 50U);
}

}  // namespace
}  // namespace lichen::sched
