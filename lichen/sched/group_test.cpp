#include "lichen/sched/group.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "lichen/sched/registry.hpp"
#include "lichen/sched/schedule.hpp"

namespace lichen::sched {
namespace {

constexpr std::uint64_t ms = 1'000'000;

Group::Handle make(Registry& registry, const GroupOptions& options = {}) {
  auto group = Group::create(registry, options);
  EXPECT_TRUE(group);
  return *std::move(group);
}

TEST(Group, DefaultGroupIsWhereStrandsStart) {
  Registry registry;
  Group& group = registry.default_group();
  EXPECT_EQ(group.index(), 0u);
  EXPECT_EQ(group.name(), "default");
  EXPECT_TRUE(group.foreground());
  EXPECT_EQ(group.lane(Qos::user_initiated), coro::default_lane);
  EXPECT_EQ(registry.group_of(coro::default_lane), &group);
  EXPECT_EQ(registry.group_of(coro::event_lane), nullptr);
}

TEST(Group, LaneIdsAreDisjoint) {
  Registry registry;
  auto one = make(registry);
  auto two = make(registry);
  EXPECT_EQ(one->lane(Qos::background) + 1, two->lane(Qos::user_interactive));
  for (unsigned q = 0; q < qos_count; ++q) {
    EXPECT_EQ(registry.group_of(one->lane(static_cast<Qos>(q))), one.get());
    EXPECT_EQ(registry.group_of(two->lane(static_cast<Qos>(q))), two.get());
  }
}

TEST(Group, RefusesOptionsOutsideTheirDomain) {
  Registry registry;
  EXPECT_TRUE(Group::create(registry, {.weight = 0}).failed_with(Error::invalid_argument));
  EXPECT_TRUE(Group::create(registry, {.weight = 10'001}).failed_with(Error::invalid_argument));
  EXPECT_TRUE(Group::create(registry, {.guarantee_permille = 20, .limit_permille = 10})
                  .failed_with(Error::invalid_argument));
  EXPECT_EQ(registry.groups(), 1u);
}

TEST(Group, GuaranteesAreAdmittedTogether) {
  Registry registry;
  auto one = make(registry, {.guarantee_permille = 200});
  EXPECT_TRUE(
      Group::create(registry, {.guarantee_permille = 51}).failed_with(Error::limit_reached));
  auto two = make(registry, {.guarantee_permille = 50});
  one.reset();
  make(registry, {.guarantee_permille = 200});
}

TEST(Group, SlotsAreUsedAgainWhenTheLastUseIsGone) {
  Registry registry;
  auto group = make(registry);
  const LaneId lane = group->lane(Qos::utility);
  Group* record = group.get();
  record->retain();
  group.reset();
  EXPECT_EQ(registry.group_of(lane), record) << "a task still holds it";
  auto other = make(registry);
  EXPECT_NE(other->lane(Qos::utility), lane);
  record->release();
  EXPECT_EQ(registry.group_of(lane), nullptr);
  EXPECT_EQ(make(registry)->lane(Qos::utility), lane);
}

TEST(Group, ThereIsAMost) {
  Registry registry;
  std::vector<Group::Handle> groups;
  for (std::uint32_t i = 1; i < max_groups; ++i) groups.push_back(make(registry));
  EXPECT_TRUE(Group::create(registry, {}).failed_with(Error::limit_reached));
  EXPECT_LT(groups.back()->lane(Qos::background), first_reservation_lane);
  groups.pop_back();
  make(registry);
}

TEST(Group, LongNamesAreCut) {
  Registry registry;
  EXPECT_EQ(make(registry, {.name = "0123456789012345678901234567890123456789"})->name(),
            "0123456789012345678901234567890");
}

TEST(Group, LimitIsOnePoolForAPeriod) {
  Registry registry;
  const ScheduleParameters& p = registry.parameters();
  auto group = make(registry, {.limit_permille = 100});  // 10 ms in each 100
  EXPECT_EQ(group->limit_take(8 * ms, 1'000 * ms, p), 8 * ms);
  EXPECT_EQ(group->limit_take(8 * ms, 1'010 * ms, p), 2 * ms);
  EXPECT_EQ(group->limit_take(8 * ms, 1'020 * ms, p), 0u);
  group->limit_return(3 * ms, 1'010 * ms, p);
  EXPECT_EQ(group->limit_take(8 * ms, 1'099 * ms, p), 3 * ms);
  EXPECT_EQ(group->limit_returns_at(1'099 * ms, p), 1'100 * ms);
  // Too late for what was taken in an earlier period.
  EXPECT_EQ(group->limit_take(4 * ms, 1'100 * ms, p), 4 * ms);
  group->limit_return(3 * ms, 1'099 * ms, p);
  EXPECT_EQ(group->limit_take(8 * ms, 1'101 * ms, p), 6 * ms);
}

TEST(Group, OverdrawnLimitsAreMissingLater) {
  Registry registry;
  const ScheduleParameters& p = registry.parameters();
  auto group = make(registry, {.limit_permille = 100});
  group->limit_overdraw(25 * ms, 1'050 * ms, p);
  EXPECT_EQ(group->limit_returns_at(1'050 * ms, p), 1'200 * ms);
  EXPECT_EQ(group->limit_take(ms, 1'150 * ms, p), 0u);
  EXPECT_EQ(group->limit_take(9 * ms, 1'200 * ms, p), 5 * ms);
  // A core whose clock is a little behind does not begin the period before again.
  EXPECT_EQ(group->limit_take(9 * ms, 1'199 * ms, p), 0u);
  EXPECT_EQ(group->limit_take(99 * ms, 9'000 * ms, p), 10 * ms);
}

TEST(Group, ReservationsLeaveATenthOfTheLimit) {
  Registry registry;
  auto group = make(registry, {.limit_permille = 100});
  EXPECT_FALSE(group->reserve(90'001));
  EXPECT_TRUE(group->reserve(90'000));
  EXPECT_FALSE(group->reserve(1));
  EXPECT_EQ(group->limit_take(99 * ms, 1'000 * ms, registry.parameters()), 1 * ms);
  group->unreserve(90'000);
}

TEST(Group, GuaranteeIsARate) {
  Registry registry;
  auto group = make(registry, {.guarantee_permille = 100});
  group->guarantee_begin(1'000 * ms);
  EXPECT_EQ(group->served_until(), 1'000 * ms);
  group->guarantee_charge(2 * ms, 1'010 * ms, 100 * ms);
  EXPECT_EQ(group->served_until(), 1'020 * ms);
  group->guarantee_charge(1 * ms, 2'000 * ms, 100 * ms);
  EXPECT_EQ(group->served_until(), 1'910 * ms) << "what is long ago is forgotten";
  group->guarantee_begin(3'000 * ms);
  EXPECT_EQ(group->served_until(), 1'910 * ms) << "another core has had work all the time";
  group->guarantee_end();
  group->guarantee_end();
  group->guarantee_begin(3'000 * ms);
  EXPECT_EQ(group->served_until(), 3'000 * ms);
  group->guarantee_end();
}

TEST(Group, ThreadsMayCreateAndChangeThemAtOnce) {
  Registry registry;
  Schedule schedule{registry, 0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        auto group = Group::create(registry, {.weight = 7, .limit_permille = 500});
        ASSERT_TRUE(group);
        (*group)->set_foreground(true);
        (*group)->limit_take(ms, 1'000 * ms, registry.parameters());
        ASSERT_EQ(registry.group_of((*group)->lane(Qos::utility)), group->get());
        ASSERT_EQ((*group)->statistics().fair_ns(), 0u);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.groups(), 1u);
  EXPECT_EQ(schedule.pick(1'000 * ms), nullptr);
}

// Cores that schedule while other threads move, weigh, watch, create and end groups.
TEST(Group, CoresScheduleMeanwhile) {
  Registry registry;
  constexpr unsigned cores = 2;
  Schedule schedules[cores] = {{registry, 0}, {registry, 1}};
  std::vector<Group::Handle> groups;
  for (std::uint32_t i = 0; i < 4; ++i)
    groups.push_back(make(
        registry, {.guarantee_permille = i == 0 ? 50U : 0U, .limit_permille = i == 1 ? 300U : 0U}));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (Schedule& schedule : schedules)
    threads.emplace_back([&] {
      std::uint64_t now = 1'000 * ms;
      for (auto& group : groups) schedule.insert(schedule.lane(group->lane(Qos::utility)), now);
      for (int i = 0; i < 20'000; ++i) {
        Lane* lane = schedule.pick(now);
        if (!lane) {
          now = schedule.next_event(now);
          continue;
        }
        now += 200'000;
        if (schedule.overtaken(*lane, now - 200'000, now) || i % 3 == 0)
          schedule.put_back(*lane, 200'000, now, true);
        else
          schedule.charge(*lane, 200'000, now), schedule.put_back(*lane, 0, now, true);
        auto visitor = Group::create(registry, {});
        ASSERT_TRUE(visitor);
        Lane& visited = schedule.lane((*visitor)->lane(Qos::user_interactive));
        schedule.insert(visited, now);
        schedule.remove(visited, now);
      }
    });
  threads.emplace_back([&] {
    for (std::uint32_t i = 0; !stop.load(); ++i) {
      groups[i % 4]->set_foreground(i & 4);
      groups[i % 3]->set_weight(i);
      for (auto& group : groups) static_cast<void>(group->statistics());
      static_cast<void>(schedules[i % 2].statistics());
    }
  });
  for (unsigned core = 0; core < cores; ++core) threads[core].join();
  stop = true;
  threads.back().join();
  EXPECT_EQ(registry.groups(), 5u);
  for (auto& group : groups) EXPECT_GT(group->statistics().fair_ns(), 0u);
}

}  // namespace
}  // namespace lichen::sched
