// Cores in virtual time that run made-up work by the schedule and keep to all it says: they stop at
// its decisions, let urgent wakes interrupt, and charge to the nanosecond.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <queue>
#include <vector>

#include "lichen/sched/schedule.hpp"

namespace lichen::sched::test {

inline constexpr std::uint64_t us = 1'000;
inline constexpr std::uint64_t ms = 1'000'000;

struct Job {
  std::uint64_t left = 0;
  std::uint64_t released = 0;
  std::uint64_t number = 0;  // in its lane
};

class World {
 public:
  explicit World(unsigned cores = 1, const ScheduleParameters& parameters = {})
      : registry{parameters} {
    for (unsigned i = 0; i < cores; ++i) cores_.push_back(std::make_unique<Core>(registry, i));
  }

  Registry registry;
  std::uint64_t now = 1'000 * ms;
  // What the tests listen to.
  std::function<void(Lane&, const Job&)> finished = [](Lane&, const Job&) {};
  std::function<void(unsigned core, Lane&, std::uint64_t from, std::uint64_t to)> ran =
      [](unsigned, Lane&, std::uint64_t, std::uint64_t) {};

  Schedule& schedule(unsigned core = 0) { return cores_[core]->schedule; }

  // At a time, on a core: a job for a lane, or anything else.
  void at(std::uint64_t time, std::function<void()> what) {
    timers_.push({time, order_++, std::move(what)});
  }
  void add(unsigned core, LaneId id, std::uint64_t length) {
    Core& here = *cores_[core];
    Lane& lane = here.schedule.lane(id);
    std::deque<Job>& jobs = here.jobs[&lane];
    jobs.push_back({length, now, ++here.numbers[&lane]});
    if (lane.state != LaneState::idle) return;
    here.schedule.insert(lane, now);
    if (here.running && here.schedule.more_urgent(lane, *here.running)) stop(here, true);
  }
  // A lane that always has work, in jobs of this length.
  void hog(unsigned core, LaneId id, std::uint64_t length) {
    cores_[core]->hogs[&cores_[core]->schedule.lane(id)] = length;
    add(core, id, length);
  }
  // A core looks whether what runs there still should: somebody has changed what is ordered.
  void look(unsigned core) { cores_[core]->looks = true; }

  void run_until(std::uint64_t end) {
    while (now < end && !::testing::Test::HasFatalFailure()) {
      while (!timers_.empty() && timers_.top().time <= now) {
        auto what = timers_.top().what;
        timers_.pop();
        what();
      }
      std::uint64_t next = timers_.empty() ? end : std::min(end, timers_.top().time);
      for (auto& core : cores_) next = std::min(next, step(*core));
      ASSERT_GT(next, now) << "time stands still";
      for (auto& core : cores_) {
        if (!core->running) continue;
        core->job.left -= next - now;
        ran(core->schedule.core(), *core->running, now, next);
      }
      now = next;
    }
  }

  // How many lanes of a core have work and are neither running nor throttled.
  [[nodiscard]] bool waits(unsigned core, const Lane& lane) const {
    return cores_[core]->jobs.contains(const_cast<Lane*>(&lane)) && lane.state == LaneState::ready;
  }
  [[nodiscard]] std::vector<Lane*> lanes(unsigned core) const {
    std::vector<Lane*> all;
    for (auto& [lane, jobs] : cores_[core]->jobs) all.push_back(lane);
    return all;
  }

 private:
  struct Core {
    Core(Registry& registry, unsigned index) : schedule{registry, index} {}
    Schedule schedule;
    std::map<Lane*, std::deque<Job>> jobs;
    std::map<Lane*, std::uint64_t> numbers, hogs;
    Lane* running = nullptr;
    Job job;
    std::uint64_t since = 0;
    unsigned jobs_in_row = 0;
    bool looks = false;
  };
  struct Timer {
    std::uint64_t time, order;
    std::function<void()> what;
    bool operator<(const Timer& other) const {
      return time != other.time ? time > other.time : order > other.order;
    }
  };

  void stop(Core& core, bool unfinished) {
    Lane& lane = *core.running;
    std::deque<Job>& jobs = core.jobs[&lane];
    if (unfinished) jobs.push_front(core.job);
    core.running = nullptr;
    core.schedule.put_back(lane, now - core.since, now, !jobs.empty());
  }

  // What the core does now; returns when it wants to be asked again.
  std::uint64_t step(Core& core) {
    for (int turn = 0; turn < 1'000; ++turn) {
      if (core.running && core.job.left == 0) {
        Lane& lane = *core.running;
        std::deque<Job>& jobs = core.jobs[&lane];
        if (auto hog = core.hogs.find(&lane); hog != core.hogs.end())
          jobs.push_back({hog->second, now, ++core.numbers[&lane]});
        finished(lane, core.job);
        // A few jobs make a batch.
        if (jobs.empty() || ++core.jobs_in_row % 4 == 0) {
          stop(core, false);
        } else {
          core.job = jobs.front();
          jobs.pop_front();
          continue;
        }
      }
      if (!core.running) {
        Lane* lane = core.schedule.pick(now);
        if (!lane) {
          for (auto& [other, jobs] : core.jobs)
            EXPECT_TRUE(jobs.empty() || other->state == LaneState::throttled) << "idle beside work";
          const std::uint64_t next = core.schedule.next_event(now);
          EXPECT_GT(next, now);
          return next;
        }
        std::deque<Job>& jobs = core.jobs[lane];
        EXPECT_FALSE(jobs.empty());
        core.running = lane;
        core.job = jobs.front();
        jobs.pop_front();
        core.since = now;
      }
      const std::uint64_t decision = core.schedule.next_decision(*core.running, core.since, now);
      if (!std::exchange(core.looks, false) && decision > now)
        return std::min(decision, now + core.job.left);
      if (core.schedule.overtaken(*core.running, core.since, now)) {
        stop(core, true);
      } else {
        core.schedule.charge(*core.running, now - core.since, now);
        core.since = now;
      }
    }
    ADD_FAILURE() << "no end of decisions";
    return std::numeric_limits<std::uint64_t>::max();
  }

  std::vector<std::unique_ptr<Core>> cores_;
  std::priority_queue<Timer> timers_;
  std::uint64_t order_ = 0;
};

}  // namespace lichen::sched::test
