#include "lichen/sched/reservation.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "lichen/sched/schedule.hpp"

namespace lichen::sched {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t ms = 1'000'000;

TEST(BandwidthServer, BudgetComesBackEachPeriod) {
  BandwidthServer server;
  server.configure(10 * ms, 2 * ms, 10 * ms, 0);
  server.wake(100 * ms);
  EXPECT_EQ(server.deadline(), 110 * ms);
  EXPECT_EQ(server.consume(1 * ms, 101 * ms), 0u);
  EXPECT_EQ(server.consume(3 * ms, 104 * ms), 2 * ms);
  EXPECT_TRUE(server.exhausted());
  EXPECT_FALSE(server.refresh(109 * ms));
  EXPECT_TRUE(server.refresh(135 * ms));
  EXPECT_EQ(server.period_start(), 130 * ms);
  EXPECT_EQ(server.number(), 3u);
  EXPECT_EQ(server.budget_left(), 2 * ms);
}

TEST(BandwidthServer, LateWakesKeepTheBandwidth) {
  BandwidthServer server;
  server.configure(10 * ms, 2 * ms, 10 * ms, ms / 2);
  server.align(100 * ms);
  server.wake(100 * ms + ms / 2);
  EXPECT_EQ(server.budget_left(), 2 * ms) << "the timer's lateness";
  server.wake(106 * ms);
  EXPECT_EQ(server.budget_left(), 4 * ms * 2 / 10);
  server.wake(110 * ms);
  EXPECT_EQ(server.budget_left(), 2 * ms);
}

TEST(BandwidthServer, DeadlineBeforeThePeriodsEnd) {
  BandwidthServer server;
  server.configure(10 * ms, 2 * ms, 4 * ms, 0);
  server.wake(100 * ms);
  EXPECT_EQ(server.deadline(), 104 * ms);
  server.wake(105 * ms);
  EXPECT_TRUE(server.exhausted()) << "nothing is promised behind the deadline";
  server.wake(110 * ms);
  EXPECT_EQ(server.budget_left(), 2 * ms);
}

TEST(BandwidthServer, WhatIsLeftIsGoodUntilTheGridBegins) {
  BandwidthServer server;
  server.configure(10 * ms, 2 * ms, 10 * ms, 0);
  server.wake(100 * ms);
  EXPECT_EQ(server.consume(1 * ms, 101 * ms), 0u);
  server.align(105 * ms);
  EXPECT_EQ(server.deadline(), 105 * ms);
  EXPECT_EQ(server.consume(2 * ms, 103 * ms), 1 * ms);
  server.wake(105 * ms);
  EXPECT_EQ(server.number(), 0u);
  EXPECT_EQ(server.budget_left(), 2 * ms);
}

TEST(BandwidthServer, TimeIsTakenFromTheirPeriods) {
  BandwidthServer server;
  server.configure(10 * ms, 2 * ms, 10 * ms, 0);
  server.align(100 * ms);
  // 108 to 133: 2 of the first, 2 of 8 + 8 too much in the next two, then 2 of 3.
  EXPECT_EQ(server.consume(25 * ms, 133 * ms), 8 * ms + 8 * ms + 1 * ms);
  EXPECT_EQ(server.period_start(), 130 * ms);
  EXPECT_TRUE(server.exhausted());
}

class Reserve : public ::testing::Test {
 protected:
  Registry registry;
  Schedule schedule{registry, 0};
  Schedule little{registry, 1, full_capacity / 4};
  Group& group = registry.default_group();
};

TEST_F(Reserve, AdmitsSevenTenthsOfACore) {
  auto one = Reservation::create(schedule, group, {.period = 10ms, .budget = 4ms});
  ASSERT_TRUE(one);
  EXPECT_TRUE(Reservation::create(schedule, group, {.period = 10ms, .budget = 3001us})
                  .failed_with(Error::limit_reached));
  auto two = Reservation::create(schedule, group, {.period = 10ms, .budget = 2990us});
  ASSERT_TRUE(two);
  one->reset();
  EXPECT_TRUE(Reservation::create(schedule, group, {.period = 10ms, .budget = 4ms}));
}

TEST_F(Reserve, AdmitsWhatFillsTheCoreExactly) {
  auto whole = Reservation::create(schedule, group, {.period = 10ms, .budget = 7ms});
  ASSERT_TRUE(whole);
  EXPECT_TRUE(Reservation::create(schedule, group, {.period = 1s, .budget = 10us})
                  .failed_with(Error::limit_reached));
  whole->reset();
  auto one = Reservation::create(schedule, group, {.period = 10ms, .budget = 4ms});
  EXPECT_TRUE(Reservation::create(schedule, group, {.period = 8'333us, .budget = 2'499'900ns}));
}

TEST_F(Reserve, IsOfItsGroupOnOtherCores) {
  auto app = *Group::create(registry, {.name = "app"});
  auto made = *Reservation::create(schedule, *app, {.period = 10ms, .budget = 1ms});
  EXPECT_EQ(schedule.lane(made->lane()).id, made->lane());
  EXPECT_EQ(&little.lane(made->lane()), &little.lane(app->lane(Qos::user_interactive)));
  EXPECT_EQ(little.statistics().lanes_missing, 0u);
}

TEST_F(Reserve, SmallCoresNeedLonger) {
  EXPECT_TRUE(Reservation::create(little, group, {.period = 10ms, .budget = 2ms})
                  .failed_with(Error::limit_reached));
  auto fits = Reservation::create(little, group, {.period = 10ms, .budget = 1ms});
  ASSERT_TRUE(fits);
  EXPECT_EQ((*fits)->server().budget(), 4 * ms);
}

TEST_F(Reserve, ShortDeadlinesNeedMore) {
  EXPECT_TRUE(Reservation::create(schedule, group, {.period = 10ms, .budget = 3ms, .deadline = 4ms})
                  .failed_with(Error::limit_reached));
  EXPECT_TRUE(
      Reservation::create(schedule, group, {.period = 10ms, .budget = 2ms, .deadline = 4ms}));
}

TEST_F(Reserve, RefusesTheImpossible) {
  const ReservationOptions impossible[] = {
      {.period = 0ms, .budget = 0ms},
      {.period = 10ms, .budget = 0ms},
      {.period = 10ms, .budget = -1ms},
      {.period = -10ms, .budget = 1ms},
      {.period = 10ms, .budget = 11ms},
      {.period = 10ms, .budget = 1ms, .deadline = 11ms},
      {.period = 10ms, .budget = 2ms, .deadline = 1ms},
      {.period = 10us, .budget = 10us},
      {.period = 2s, .budget = 1ms},
  };
  for (const ReservationOptions& options : impossible)
    EXPECT_TRUE(Reservation::create(schedule, group, options).failed_with(Error::invalid_argument));
  EXPECT_EQ(registry.reservations(), 0u);
  EXPECT_EQ(schedule.admission().admitted_ppm(), 0u);
}

TEST_F(Reserve, IsPartOfItsGroupsLimit) {
  auto limited = *Group::create(registry, {.limit_permille = 100});
  EXPECT_TRUE(Reservation::create(schedule, *limited, {.period = 10ms, .budget = 1ms})
                  .failed_with(Error::limit_reached));
  EXPECT_EQ(schedule.admission().admitted_ppm(), 0u);
  EXPECT_TRUE(Reservation::create(schedule, *limited, {.period = 10ms, .budget = 900us}))
      << "a tenth of the limit stays for fair work";
}

TEST_F(Reserve, ThereIsAMost) {
  std::vector<Reservation::Handle> all;
  for (std::uint32_t i = 0; i < max_reservations; ++i) {
    auto made = Reservation::create(schedule, group, {.period = 1s, .budget = 10us});
    ASSERT_TRUE(made);
    all.push_back(*std::move(made));
  }
  EXPECT_TRUE(Reservation::create(schedule, group, {.period = 1s, .budget = 10us})
                  .failed_with(Error::limit_reached));
}

TEST_F(Reserve, MayEndWhileItsLaneRuns) {
  auto made = *Reservation::create(schedule, group, {.period = 10ms, .budget = 1ms});
  const LaneId id = made->lane();
  Lane& lane = schedule.lane(id);
  schedule.insert(lane, 100 * ms);
  ASSERT_EQ(schedule.pick(100 * ms), &lane);
  made.reset();
  EXPECT_EQ(schedule.admission().admitted_ppm(), 0u);
  auto other = *Reservation::create(schedule, group, {.period = 10ms, .budget = 1ms});
  EXPECT_NE(other->lane(), id) << "the lane is still in use";
  schedule.put_back(lane, 1 * ms, 101 * ms, false);
  EXPECT_EQ(registry.reservation_of(id), nullptr);
  EXPECT_EQ(registry.reservations(), 1u);
}

}  // namespace
}  // namespace lichen::sched
