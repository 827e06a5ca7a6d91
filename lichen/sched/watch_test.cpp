#include "lichen/sched/watch.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <utility>

#include "lichen/sched/group.hpp"
#include "lichen/sched/registry.hpp"
#include "lichen/sched/reservation.hpp"
#include "lichen/sched/task_watch.hpp"

namespace lichen::sched {
namespace {

constexpr unsigned some_band = first_bucket_band + 2;

class WatchTest : public testing::Test {
 protected:
  WorkFigures band(unsigned of) const {
    WorkFigures figures;
    watch->read_band(of, figures);
    return figures;
  }
  WorkFigures figures(const Lane& of) const {
    WorkFigures figures;
    watch->read_lane(of.id, figures);
    return figures;
  }
  static void expect_near(std::uint64_t found, std::uint64_t wanted) {
    EXPECT_NEAR(static_cast<double>(found), static_cast<double>(wanted),
                static_cast<double>(wanted) / 30 + 1);
  }

  // Lanes stay where they are, so this one is filled in.
  void describe(Qos qos) {
    lane.id = group.lane(qos);
    lane.kind = LaneKind::fair;
    lane.qos = qos;
    lane.group = &group;
  }

  std::unique_ptr<Watch> watch = std::make_unique<Watch>();
  Registry registry;
  Group& group = registry.default_group();
  Lane lane;
};

TEST_F(WatchTest, CountsATurn) {
  describe(Qos::utility);
  watch->ready(lane, 1'000);
  watch->begin(lane, some_band, 3, 51'000);
  watch->batch(64, 10, 90'000);
  watch->end(4, 151'000);
  for (const WorkFigures& figures : {band(some_band), figures(lane)}) {
    EXPECT_EQ(figures.tasks, 68U);
    EXPECT_EQ(figures.run.count(), 1U);
    EXPECT_EQ(figures.run.max(), 100'000U);
    EXPECT_EQ(figures.wait.max(), 50'000U) << "the first task of the lane";
  }
  EXPECT_EQ(band(some_band + 1).tasks, 0U);
}

TEST_F(WatchTest, FollowsATaskThroughTheQueue) {
  describe(Qos::utility);
  // 100 tasks wait; 40 run in each batch of 4,000 ns: the last one begins after 2.475 batches.
  watch->begin(lane, some_band, 100, 10'000);
  watch->batch(40, 60, 14'000);
  watch->batch(40, 20, 18'000);
  EXPECT_EQ(band(some_band).wait.count(), 0U);
  watch->batch(40, 0, 22'000);
  ASSERT_EQ(band(some_band).wait.count(), 1U);
  expect_near(band(some_band).wait.max(), 8'000 + 4'000 * 19 / 40);
}

TEST_F(WatchTest, DoesNotCountATasksOwnTimeAsItsWait) {
  describe(Qos::background);
  // Two tasks that run 3 ms each.
  watch->begin(lane, some_band, 2, 1'000);
  watch->batch(1, 1, 3'001'000);
  watch->end(1, 6'001'000);
  ASSERT_EQ(band(some_band).wait.count(), 1U);
  EXPECT_EQ(band(some_band).wait.max(), 3'000'000U);
}

TEST_F(WatchTest, FollowsOneTaskAtATimeAndNotInEachBatch) {
  describe(Qos::utility);
  watch->begin(lane, some_band, 1, 1'000);
  for (std::uint64_t now = 2'000; now <= 1'001'000; now += 1'000) watch->batch(64, 64, now);
  const std::uint64_t samples = band(some_band).wait.count();
  EXPECT_GE(samples, 20U);
  EXPECT_LE(samples, 50U);
  EXPECT_LE(band(some_band).wait.max(), 1'000U);
}

TEST_F(WatchTest, KnowsTheWaitOfFramesExactly) {
  lane.id = first_reservation_lane;
  lane.kind = LaneKind::frame;
  lane.group = &group;
  watch->ready(lane, 1'000);
  watch->begin(lane, frame_band, 1, 5'000);
  watch->frame_began(lane, 7'777, 0);
  watch->end(1, 9'000);
  watch->begin(lane, frame_band, 1, 10'000);
  watch->frame_began(lane, 30, 2);
  watch->frame_missed(lane);
  watch->end(1, 12'000);
  for (const WorkFigures& figures : {band(frame_band), figures(lane)}) {
    EXPECT_EQ(figures.wait.count(), 2U);
    EXPECT_EQ(figures.wait.max(), 7'777U);
    EXPECT_EQ(figures.frames, 4U);
    EXPECT_EQ(figures.missed, 3U);
  }
  watch->forget(lane.id);
  EXPECT_EQ(figures(lane).frames, 0U);
  EXPECT_EQ(band(frame_band).frames, 4U);
}

TEST_F(WatchTest, TellsPreemptedTasksApart) {
  describe(Qos::background);
  const auto here = std::source_location::current(), there = std::source_location::current();
  watch->begin(lane, some_band, 1, 1'000);
  watch->preempted(here, 500);
  watch->preempted(there, 900);
  watch->preempted(there, 300);
  watch->end(2, 9'000);
  watch->resumed(there, 40);
  watch->resumed(there, 60);
  EXPECT_EQ(band(some_band).preemptions, 3U);
  EXPECT_EQ(figures(lane).preemptions, 3U);
  const auto tasks = watch->preempted_tasks();
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_EQ(tasks[0].preemptions, 2U);
  EXPECT_EQ(tasks[0].longest_run_ns, 900U);
  EXPECT_EQ(tasks[0].longest_aside_ns, 60U);
  EXPECT_EQ(tasks[0].aside_ns, 100U);
  EXPECT_EQ(tasks[1].preemptions, 1U);
  EXPECT_EQ(tasks[1].aside_ns, 0U);
}

// A place for each number.
template <std::size_t number>
std::source_location place() {
  return std::source_location::current();
}
template <std::size_t... n>
auto places(std::index_sequence<n...>) {
  return std::array{place<n>()...};
}

TEST_F(WatchTest, CountsTogetherWhatItCannotTellApart) {
  const auto all = places(std::make_index_sequence<2 * Watch::places>());
  describe(Qos::utility);
  watch->begin(lane, some_band, 1, 1'000);
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t times = 0; times <= i; ++times) watch->preempted(all[i], 1);
  watch->end(1, 2'000);
  const auto tasks = watch->preempted_tasks();
  ASSERT_EQ(tasks.size(), Watch::places + 1);
  EXPECT_EQ(tasks.back().spawned_at.line(), 0U);
  std::uint64_t sum = 0;
  for (const PreemptedTasks& each : tasks) sum += each.preemptions;
  EXPECT_EQ(sum, all.size() * (all.size() + 1) / 2);
  EXPECT_EQ(band(some_band).preemptions, sum);
}

TEST_F(WatchTest, ForgetsAGroupThatHasEnded) {
  lane.kind = LaneKind::fair;
  auto first = Group::create(registry, {.name = "first"});
  ASSERT_TRUE(first);
  lane.group = first->get();
  lane.id = (*first)->lane(Qos::utility);
  watch->begin(lane, some_band, 1, 1'000);
  watch->end(5, 2'000);
  EXPECT_EQ(figures(lane).tasks, 5U);
  const LaneId id = lane.id;
  first->reset();
  auto second = Group::create(registry, {.name = "second"});
  ASSERT_TRUE(second);
  ASSERT_EQ((*second)->lane(Qos::utility), id) << "the slot is used again";
  lane.group = second->get();
  watch->begin(lane, some_band, 1, 3'000);
  watch->end(2, 4'000);
  EXPECT_EQ(figures(lane).tasks, 2U);
  EXPECT_EQ(band(some_band).tasks, 7U);
}

TEST_F(WatchTest, IsSummedOverCores) {
  describe(Qos::utility);
  Watch other;
  for (Watch* each : {watch.get(), &other}) {
    each->begin(lane, some_band, 1, 1'000);
    each->end(3, 2'000);
  }
  WorkFigures sum;
  watch->read_lane(lane.id, sum);
  other.read_lane(lane.id, sum);
  EXPECT_EQ(sum.tasks, 6U);
  WorkFigures merged = band(some_band);
  merged.merge(sum);
  EXPECT_EQ(merged.tasks, 9U);
  EXPECT_EQ(merged.run.count(), 3U);
}

TaskFigures figures_of(const TaskRecord& record) {
  TaskFigures figures;
  record.read_into(figures);
  return figures;
}

TEST(TaskRecord, KnowsEachWakeAndEachTurn) {
  TaskRecord record;
  record.woken(1'000);
  TaskRecord::Turn first;
  record.begin(first, 0, false, 1'010);
  record.end(first, 1'210);
  record.woken(2'000);
  TaskRecord::Turn second;
  record.begin(second, 0, false, 2'002);
  record.end(second, 2'013);

  const TaskFigures figures = figures_of(record);
  EXPECT_EQ(figures.work.tasks, 2U);
  EXPECT_EQ(figures.work.wait.count(), 2U);
  EXPECT_EQ(figures.work.wait.sum(), 12U);
  EXPECT_EQ(figures.work.wait.max(), 10U);
  EXPECT_EQ(figures.work.wait.percentile(5'000), 2U) << "small numbers are counted one by one";
  EXPECT_EQ(figures.work.run.count(), 2U);
  EXPECT_EQ(figures.work.run.sum(), 211U);
  EXPECT_EQ(figures.work.run.max(), 200U);
  EXPECT_EQ(figures.work.run.percentile(5'000), 11U);
  EXPECT_EQ(figures.work.preemptions, 0U);
  EXPECT_EQ(figures.migrations, 0U);
}

TEST(TaskRecord, LeavesOutOfARunWhatItWasSetAside) {
  TaskRecord record;
  record.woken(0);
  TaskRecord::Turn turn;
  record.begin(turn, 1, false, 5);
  record.set_aside(1'005);
  record.went_on(51'005);
  record.set_aside(52'005);
  record.went_on(82'005);
  EXPECT_EQ(figures_of(record).work.run.count(), 0U);
  record.end(turn, 82'009);

  const TaskFigures figures = figures_of(record);
  EXPECT_EQ(figures.work.tasks, 1U);
  EXPECT_EQ(figures.work.preemptions, 2U);
  EXPECT_EQ(figures.work.run.sum(), 2'004U);
  EXPECT_EQ(figures.aside_ns, 80'000U);
  EXPECT_EQ(figures.longest_aside_ns, 50'000U);
}

TEST(TaskRecord, CountsMovesAndFrames) {
  TaskRecord record;
  std::uint64_t now = 0;
  for (const unsigned core : {3U, 3U, 0U, 3U}) {
    record.woken(now);
    TaskRecord::Turn turn;
    record.begin(turn, core, true, now += 100);
    record.frame_began(7, core == 0 ? 2 : 0);
    if (core == 0) record.frame_missed();
    record.end(turn, now += 50);
  }
  const TaskFigures figures = figures_of(record);
  EXPECT_EQ(figures.migrations, 2U);
  EXPECT_EQ(figures.work.frames, 6U);
  EXPECT_EQ(figures.work.missed, 3U) << "two that were left out, and one that was late";
  EXPECT_EQ(figures.work.wait.count(), 4U);
  EXPECT_EQ(figures.work.wait.sum(), 28U) << "of frames from when they were due";
  EXPECT_EQ(figures.work.run.sum(), 200U);
}

TEST(TaskRecord, EndsInTheMiddleOfATurn) {
  TaskRecord record;
  record.woken(0);
  TaskRecord::Turn turn;
  record.begin(turn, 0, false, 0);
  record.finish(9);
  EXPECT_TRUE(turn.over);
  // The task goes on.
  record.set_aside(10);
  record.went_on(20);
  EXPECT_EQ(figures_of(record).work.run.sum(), 9U);
  EXPECT_EQ(figures_of(record).work.preemptions, 0U);
  record.reset();
  EXPECT_EQ(figures_of(record).work.tasks, 0U);
  EXPECT_EQ(figures_of(record).work.run.count(), 0U);
}

}  // namespace
}  // namespace lichen::sched
