#include "lichen/sched/schedule.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace lichen::sched {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000'000;

class ScheduleTest : public ::testing::Test {
 protected:
  Group::Handle make(const GroupOptions& options) {
    auto group = Group::create(registry, options);
    EXPECT_TRUE(group);
    return *std::move(group);
  }
  Lane& insert(LaneId id) {
    Lane& lane = schedule.lane(id);
    schedule.insert(lane, now);
    return lane;
  }
  // Picks, runs and puts back; returns which it was.
  Lane* run(std::uint64_t ns, bool still_ready = true) {
    Lane* lane = schedule.pick(now);
    if (!lane) return nullptr;
    now += ns;
    schedule.put_back(*lane, ns, now, still_ready);
    return lane;
  }

  Registry registry;
  Schedule schedule{registry, 0};
  std::uint64_t now = 1'000 * ms;
  Group::Handle front = make({.name = "front", .foreground = true});
  Group::Handle back = make({.name = "back"});
};

TEST_F(ScheduleTest, EmptyHasNothing) {
  EXPECT_TRUE(schedule.empty());
  EXPECT_EQ(schedule.pick(now), nullptr);
  EXPECT_EQ(schedule.next_event(now), Schedule::never);
}

TEST_F(ScheduleTest, OneLaneGoesOnAndIsCharged) {
  Lane& lane = insert(front->lane(Qos::utility));
  for (int i = 0; i < 50; ++i) ASSERT_EQ(run(100 * us), &lane);
  EXPECT_EQ(schedule.ready(), 1u);
  EXPECT_LE(5 * ms - lane.run_ns.get(), 1 * ms);
  ASSERT_EQ(run(100 * us, false), &lane);
  EXPECT_EQ(lane.run_ns.get(), 51 * 100 * us);
  EXPECT_EQ(front->statistics().run_ns[2], 51 * 100 * us);
  EXPECT_EQ(lane.state, LaneState::idle);
  EXPECT_TRUE(schedule.empty());
}

TEST_F(ScheduleTest, OrderOfTheBands) {
  auto frames = *Reservation::create(schedule, *back, {.period = 10ms, .budget = 1ms});
  std::vector<Lane*> order;
  for (Group* group : {back.get(), front.get()})
    for (unsigned q = qos_count; q-- > 0;)
      order.insert(order.begin(), &insert(group->lane(static_cast<Qos>(q))));
  order.insert(order.begin(), &insert(frames->lane()));
  schedule.insert(schedule.event_lane(), now);
  order.insert(order.begin(), &schedule.event_lane());
  EXPECT_EQ(schedule.ready(), 10u);
  for (Lane* lane : order) EXPECT_EQ(run(10 * us, false), lane);
  EXPECT_TRUE(schedule.empty());
}

TEST_F(ScheduleTest, UrgentWakesInterrupt) {
  Lane& low = insert(back->lane(Qos::user_interactive));
  ASSERT_EQ(schedule.pick(now), &low);
  Lane& high = insert(front->lane(Qos::background));
  EXPECT_TRUE(schedule.more_urgent(high, low));
  EXPECT_TRUE(schedule.overtaken(low, now, now));
  schedule.put_back(low, 0, now, true);
  ASSERT_EQ(schedule.pick(now), &high);
  auto other = make({.foreground = true});
  Lane& equal = insert(other->lane(Qos::background));
  EXPECT_FALSE(schedule.more_urgent(equal, high)) << "of the same bucket";
  const std::uint64_t finished = schedule.next_decision(high, now, now);
  EXPECT_EQ(finished, now + 3 * ms) << "its request is finished";
  EXPECT_FALSE(schedule.overtaken(high, now, now + 1 * ms));
  EXPECT_FALSE(schedule.overtaken(high, now, now + 2 * ms)) << "what is charged stays charged";
  EXPECT_LE(schedule.next_decision(high, now, now + 2 * ms), finished + 1);
  EXPECT_TRUE(schedule.overtaken(high, now, finished + 1));
  schedule.insert(schedule.event_lane(), now);
  EXPECT_TRUE(schedule.more_urgent(schedule.event_lane(), high));
  schedule.put_back(high, 0, now, false);
  while (run(1 * us, false)) {
  }
}

TEST_F(ScheduleTest, NoTimerForALoneLane) {
  Lane& lane = insert(front->lane(Qos::utility));
  ASSERT_EQ(schedule.pick(now), &lane);
  EXPECT_EQ(schedule.next_decision(lane, now, now), Schedule::never);
  schedule.put_back(lane, 0, now, false);
}

TEST_F(ScheduleTest, FramesByDeadlineAndOnlyWithinTheirBudget) {
  auto longer = *Reservation::create(schedule, *front, {.period = 20ms, .budget = 2ms});
  auto shorter = *Reservation::create(schedule, *front, {.period = 10ms, .budget = 1ms});
  Lane& fair = insert(front->lane(Qos::user_interactive));
  Lane& late = insert(longer->lane());
  Lane& early = insert(shorter->lane());
  ASSERT_EQ(schedule.pick(now), &early);
  EXPECT_EQ(schedule.next_decision(early, now, now), now + 1 * ms);
  now += 3 * ms;
  schedule.put_back(early, 3 * ms, now, true);  // it does not listen
  EXPECT_TRUE(early.exhausted);
  EXPECT_EQ(early.overruns.get(), 1u);
  EXPECT_EQ(front->statistics().overruns, 1u);
  EXPECT_EQ(front->statistics().frame_ns, 1 * ms);
  EXPECT_EQ(front->statistics().run_ns[0], 2 * ms);
  ASSERT_EQ(run(1 * ms, false), &late);
  // The exhausted lane and the group's own take turns in one share.
  EXPECT_EQ(run(1 * ms), &fair);
  EXPECT_EQ(run(1 * ms), &early);
  EXPECT_EQ(run(1 * ms), &fair);
  now = 1'010 * ms;
  EXPECT_EQ(schedule.pick(now), &early) << "a new period";
  EXPECT_FALSE(early.exhausted);
  schedule.put_back(early, 0, now, false);
  run(1 * us, false);
  EXPECT_TRUE(schedule.empty());
}

TEST_F(ScheduleTest, ChargeGoesOnWithTheSameLane) {
  auto frames = *Reservation::create(schedule, *back, {.period = 10ms, .budget = 1ms});
  Lane& lane = insert(frames->lane());
  ASSERT_EQ(schedule.pick(now), &lane);
  schedule.charge(lane, 1 * ms, now += 1 * ms);
  EXPECT_TRUE(lane.exhausted);
  Lane& rival = insert(front->lane(Qos::background));
  EXPECT_TRUE(schedule.more_urgent(rival, lane)) << "it is fair time now";
  EXPECT_TRUE(schedule.overtaken(lane, now, now));
  schedule.put_back(lane, 0, now, true);
  EXPECT_EQ(run(1 * us, false), &rival);
  schedule.remove(lane, now);
  EXPECT_TRUE(schedule.empty());
}

// It has not waited in the bucket into which it falls, so it is not starved there.
TEST_F(ScheduleTest, WhoseBudgetEndsWhileItRunsWaitsItsTurn) {
  auto frames = *Reservation::create(schedule, *back, {.period = 1'000ms, .budget = 1ms});
  Lane& lane = insert(frames->lane());
  Lane& rival = insert(front->lane(Qos::user_interactive));
  ASSERT_EQ(schedule.pick(now), &lane);
  schedule.charge(lane, 1 * ms, now += 1 * ms);
  ASSERT_TRUE(lane.exhausted);
  const std::uint64_t fell = now;
  EXPECT_TRUE(schedule.overtaken(lane, now, now));
  schedule.put_back(lane, 0, now, true);
  EXPECT_EQ(schedule.clutch().deadline(bucket_of(false, Qos::user_interactive)), fell + 500 * ms);
  while (now < fell + 400 * ms) ASSERT_EQ(run(1 * ms), &rival) << now - fell;
  schedule.remove(lane, now);
  schedule.remove(rival, now);
}

// Two whose budgets are used up leave their bucket at one look, one of them ahead of its share.
TEST_F(ScheduleTest, WhoLeavesAtOnceKeepsItsDebtInAnyOrder) {
  auto other = make({.name = "other", .foreground = true});
  auto behind = *Reservation::create(schedule, *front, {.period = 10ms, .budget = 1ms});
  std::vector<std::int64_t> lags;
  for (const auto period : {6ms, 8ms}) {  // of the one ahead: it comes back first, or last
    auto ahead = *Reservation::create(schedule, *other, {.period = period, .budget = 1ms});
    Lane& first = insert(behind->lane());
    ASSERT_EQ(run(3 * ms), &first);
    Lane& second = insert(ahead->lane());
    ASSERT_EQ(run(3 * ms), &second);
    EXPECT_TRUE(first.exhausted && second.exhausted);
    now += 5 * ms;
    EXPECT_EQ(run(0, false), &second);
    EXPECT_EQ(run(0, false), &first);
    ASSERT_TRUE(schedule.empty());

    Lane& fair = insert(front->lane(Qos::user_interactive));
    Lane& debtor = insert(other->lane(Qos::user_interactive));
    lags.push_back(schedule.lag_ns(debtor));
    EXPECT_EQ(run(0, false), &fair) << period.count();
    EXPECT_EQ(run(0, false), &debtor);
    now += 1'000 * ms - 11 * ms;
  }
  EXPECT_EQ(lags[0], lags[1]);
  EXPECT_LT(lags[0], 0);
}

TEST_F(ScheduleTest, ThrottledUntilTheNextPeriod) {
  auto limited = make({.foreground = true, .limit_permille = 20});  // 2 ms of 100
  Lane& lane = insert(limited->lane(Qos::utility));
  ASSERT_EQ(schedule.pick(now), &lane);
  EXPECT_EQ(schedule.next_decision(lane, now, now), now + 2 * ms) << "although it is alone";
  now += 2 * ms;
  EXPECT_TRUE(schedule.overtaken(lane, now - 2 * ms, now));
  schedule.put_back(lane, 2 * ms, now, true);
  EXPECT_EQ(schedule.pick(now), nullptr);
  EXPECT_EQ(lane.state, LaneState::throttled);
  EXPECT_EQ(limited->statistics().throttlings, 1u);
  EXPECT_TRUE(schedule.empty());
  EXPECT_EQ(schedule.next_event(now), 1'100 * ms);
  Lane& sibling = insert(limited->lane(Qos::background));
  EXPECT_EQ(sibling.state, LaneState::throttled);
  schedule.remove(sibling, now);
  EXPECT_EQ(schedule.pick(now = 1'100 * ms), &lane);
  schedule.put_back(lane, 0, now, false);
}

TEST_F(ScheduleTest, GuaranteedTimeComesFirst) {
  auto sure = make({.guarantee_permille = 100});
  Lane& hog = insert(front->lane(Qos::user_interactive));
  Lane& lane = insert(sure->lane(Qos::background));
  EXPECT_EQ(run(10 * ms), &hog);
  ASSERT_EQ(schedule.pick(now), &lane) << "owed a millisecond";
  EXPECT_FALSE(schedule.more_urgent(hog, lane));
  EXPECT_EQ(schedule.next_decision(lane, now, now), now + 1 * ms);
  EXPECT_FALSE(schedule.overtaken(lane, now, now + 1 * ms - 1));
  EXPECT_TRUE(schedule.overtaken(lane, now, now + 1 * ms));
  now += 1 * ms;
  schedule.put_back(lane, 1 * ms, now, true);
  EXPECT_EQ(run(1 * ms, false), &hog);
  EXPECT_EQ(schedule.statistics().guaranteed_picks, 1u);
  EXPECT_EQ(run(1 * us, false), &lane);
}

// What the host took is a part of no share, and no guarantee grows by it.
TEST_F(ScheduleTest, WhatTheHostTakesIsChargedToNobodyAndGuaranteesNobody) {
  auto sure = make({.guarantee_permille = 100});
  Lane& hog = insert(front->lane(Qos::user_interactive));
  Lane& lane = insert(sure->lane(Qos::background));
  EXPECT_EQ(run(20 * ms), &hog);
  schedule.pick(now);
  EXPECT_EQ(schedule.next_decision(lane, now, now), now + 2 * ms);
  now += 10 * ms;
  schedule.host_took(lane, 10 * ms, now);
  EXPECT_EQ(schedule.next_decision(lane, now, now), now + 1 * ms);
  schedule.put_back(lane, 0, now, true);
  EXPECT_EQ(lane.run_ns.get(), 0u);

  EXPECT_EQ(run(2 * ms), &lane);
  ASSERT_EQ(schedule.pick(now), &hog);
  now += 20 * ms;
  schedule.host_took(hog, 20 * ms, now);
  EXPECT_FALSE(schedule.overtaken(hog, now, now)) << "it is owed nothing";
  schedule.put_back(hog, 0, now, false);
  EXPECT_EQ(hog.run_ns.get(), 20 * ms);
}

TEST_F(ScheduleTest, ForegroundSwitchTakesEffectAtTheNextPick) {
  Lane& a = insert(front->lane(Qos::background));
  Lane& b = insert(back->lane(Qos::user_interactive));
  EXPECT_EQ(run(1 * us), &a);
  front->set_foreground(false);
  back->set_foreground(true);
  EXPECT_EQ(run(1 * us), &b);
  Lane* running = schedule.pick(now);
  ASSERT_EQ(running, &b);
  back->set_foreground(false);
  front->set_foreground(true);
  EXPECT_TRUE(schedule.overtaken(b, now, now));
  schedule.put_back(b, 0, now, false);
  EXPECT_EQ(run(1 * us, false), &a);
}

TEST_F(ScheduleTest, AMillionSwitchesMoveNothingTwice) {
  Lane& a = insert(front->lane(Qos::utility));
  Lane& b = insert(back->lane(Qos::utility));
  for (int i = 0; i < 1'000'000; ++i) back->set_foreground(i % 2 == 0);
  EXPECT_EQ(run(1 * us, false), &a);
  EXPECT_EQ(run(1 * us, false), &b);
}

TEST_F(ScheduleTest, WhoMovesWhileItRunsWaitsItsTurnThere) {
  auto other = make({.foreground = true});
  Lane& lane = insert(front->lane(Qos::user_interactive));
  ASSERT_EQ(schedule.pick(now), &lane);
  Lane& rival = insert(other->lane(Qos::user_interactive));
  front->set_foreground(false);
  const std::uint64_t moved = now;
  EXPECT_TRUE(schedule.overtaken(lane, now, now));
  schedule.put_back(lane, 0, now, true);
  EXPECT_EQ(schedule.clutch().deadline(bucket_of(false, Qos::user_interactive)), moved + 500 * ms);
  while (now < moved + 400 * ms) ASSERT_EQ(run(1 * ms), &rival) << now - moved;
  schedule.remove(lane, now);
  schedule.remove(rival, now);
}

// Else a group could make its requests as long as it likes.
TEST_F(ScheduleTest, NobodyBeginsANewRequestByChangesThatChangeNothing) {
  auto other = make({.foreground = true});
  Lane& lane = insert(front->lane(Qos::utility));
  ASSERT_EQ(schedule.pick(now), &lane);
  Lane& rival = insert(other->lane(Qos::utility));
  const std::uint64_t since = now;
  bool overtaken = false;
  while (!overtaken && now < since + 10 * ms) {
    front->set_foreground(false);
    front->set_foreground(true);  // before anybody has looked
    front->set_weight(front->weight());
    overtaken = schedule.overtaken(lane, since, now += 1 * ms);
  }
  EXPECT_TRUE(overtaken);
  EXPECT_LE(now - since, 4 * ms);
  schedule.put_back(lane, now - since, now, false);
  EXPECT_EQ(run(1 * us, false), &rival);
}

TEST_F(ScheduleTest, UnknownLanesAreTheDefaultGroups) {
  const LaneId gone = back->lane(Qos::utility);
  back.reset();
  EXPECT_EQ(schedule.lane(gone).id, registry.default_group().lane(Qos::utility));
  EXPECT_EQ(schedule.lane(0xFFFF).id, coro::default_lane);
  EXPECT_EQ(schedule.lane(first_reservation_lane - 1).group, &registry.default_group());
  EXPECT_EQ(schedule.statistics().lanes_missing, 3u);
  EXPECT_EQ(&schedule.lane(coro::event_lane), &schedule.event_lane());
}

TEST_F(ScheduleTest, ASlotThatIsUsedAgainBeginsAnew) {
  const LaneId id = back->lane(Qos::utility);
  Lane& lane = insert(id);
  insert(front->lane(Qos::background));
  EXPECT_EQ(run(1 * ms, false)->group, front.get());
  ASSERT_EQ(schedule.pick(now), &lane);
  back.reset();  // its last task ends while it runs
  back = make({.weight = 500, .foreground = true});
  ASSERT_EQ(back->lane(Qos::utility), id);
  EXPECT_EQ(&schedule.lane(id), &lane);
  EXPECT_EQ(back->statistics().fair_ns(), 0u);
  schedule.put_back(lane, 1 * ms, now, false);
  schedule.insert(lane, now);
  EXPECT_EQ(run(1 * ms, false), &lane);
  EXPECT_TRUE(schedule.empty());
}

TEST_F(ScheduleTest, StarvedBucketsGetTheirWindow) {
  Lane& hog = insert(front->lane(Qos::user_interactive));
  Lane& low = insert(back->lane(Qos::background));
  const std::uint64_t began = now;
  while (run(1 * ms) != &low) ASSERT_LT(now, began + 2'000 * ms);
  EXPECT_LE(now - began, 1'000 * ms + 10 * ms);
  EXPECT_EQ(schedule.statistics().windows, 1u);
  EXPECT_EQ(run(1 * ms), &low) << "two milliseconds";
  EXPECT_EQ(run(1 * ms), &hog);
  schedule.remove(hog, now);
  schedule.remove(low, now);
  EXPECT_EQ(schedule.statistics().run_ns[first_bucket_band + 7], 2 * ms);
}

// Nine tenths of the core are the host's: frames are always behind, and have budget all the time.
TEST_F(ScheduleTest, FramesLeaveOthersTheirPartOfACoreThatIsTakenAway) {
  auto frames = *Reservation::create(schedule, *front, {.period = 10ms, .budget = 6ms});
  Lane& urgent = insert(frames->lane());
  Lane& fair = insert(back->lane(Qos::background));
  std::uint64_t began = 0, longest = 0, since = 0;
  for (int i = 0; i < 10'000; ++i) {
    Lane* lane = schedule.pick(now);
    ASSERT_NE(lane, nullptr);
    const std::uint64_t ran = 100 * us;
    began += ran;
    if (lane == &fair) since = began;
    longest = std::max(longest, began - since);
    // Charged as the executor does: up to now, but only what the host has left.
    schedule.put_back(*lane, ran, now += 10 * ran, true);
  }
  EXPECT_GE(fair.run_ns.get(), 300 * ms - 20 * ms);
  EXPECT_LE(fair.run_ns.get(), 300 * ms);
  EXPECT_LE(longest, 60 * ms) << "(2 * 6 + 5) ms over 0.3";
  schedule.remove(urgent, now);
  schedule.remove(fair, now);
}

TEST_F(ScheduleTest, WorkMayBeLeftWhenTheMachineStops) {
  auto frames = *Reservation::create(schedule, *back, {.period = 10ms, .budget = 1ms});
  auto limited = make({.limit_permille = 1});
  {
    Schedule other{registry, 1};
    auto there = *Reservation::create(other, *back, {.period = 10ms, .budget = 1ms});
    for (LaneId id : {back->lane(Qos::utility), front->lane(Qos::utility), there->lane(),
                      limited->lane(Qos::user_interactive), coro::event_lane})
      other.insert(other.lane(id), now);
    while (Lane* lane = other.pick(now)) {
      if (lane->group == front.get()) break;
      other.put_back(*lane, 1 * ms, now += 1 * ms, lane->kind != LaneKind::event);
    }
    there.reset();
  }
  EXPECT_EQ(registry.schedule(1), nullptr);
}

}  // namespace
}  // namespace lichen::sched
