#include "lichen/coro/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "lichen/base/member.hpp"
#include "lichen/base/random.hpp"

namespace lichen::coro {
namespace {

constexpr std::uint64_t tick_ns = std::uint64_t{1} << TimerWheel::tick_bits;
constexpr std::uint64_t farthest = ~std::uint64_t{0} - 2 * tick_ns;

// The tick at which a deadline is due, as the wheel promises it: at most one tick late.
std::uint64_t tick_of(std::uint64_t ns) { return ns / tick_ns + (ns % tick_ns != 0); }

// A wheel beside an ordered map of what it must do.
class Model {
 public:
  struct Entry {
    explicit Entry(Model& owner) : model{owner} {}
    Model& model;
    Timer timer{&fire};
    bool set = false;
    std::multimap<std::uint64_t, Entry*>::iterator place;
  };

  void set(Entry& entry, std::uint64_t deadline) {
    wheel.set(entry.timer, deadline);
    entry.set = true;
    entry.place = expected.emplace(deadline, &entry);
  }
  void cancel(Entry& entry) {
    EXPECT_EQ(entry.timer.cancel(), entry.set);
    if (entry.set) expected.erase(entry.place);
    entry.set = false;
  }
  void advance(std::uint64_t to) {
    now = to;
    last_tick = 0;
    wheel.advance(now);
    // Nobody who is due by a whole tick is left behind.
    if (!expected.empty()) {
      EXPECT_GT(tick_of(expected.begin()->first), now / tick_ns);
    }
    EXPECT_EQ(wheel.size(), expected.size());
    EXPECT_EQ(wheel.empty(), expected.empty());
  }
  void check_next_deadline() {
    const std::uint64_t next = wheel.next_deadline();
    if (expected.empty()) {
      EXPECT_EQ(next, no_deadline);
    } else {
      // A core that sleeps until then is not late, and finds something to do.
      EXPECT_LE(next, tick_of(expected.begin()->first) * tick_ns);
    }
  }

  TimerWheel wheel;
  std::multimap<std::uint64_t, Entry*> expected;
  std::uint64_t now = 0;
  std::uint64_t last_tick = 0;
  std::size_t fired = 0;
  Entry* set_when_fired = nullptr;

 private:
  static void fire(Timer& timer) noexcept {
    Entry& entry = *base::holder_of<Entry, &Entry::timer>(&timer);
    Model& model = entry.model;
    timer.fired();
    EXPECT_TRUE(entry.set);
    EXPECT_LE(timer.deadline(), model.now) << "early";
    // Deadlines that had passed when they were set fire with the tick the wheel had reached.
    const std::uint64_t tick = tick_of(timer.deadline());
    if (tick >= model.last_tick)
      model.last_tick = tick;
    else
      EXPECT_LE(timer.deadline(), model.passed) << "out of order";
    model.expected.erase(entry.place);
    entry.set = false;
    ++model.fired;
    if (Entry* other = std::exchange(model.set_when_fired, nullptr); other && !other->set)
      model.set(*other, model.now + 5);
  }

 public:
  std::uint64_t passed = 0;  // the time of the last advance but one
};

TEST(TimerWheelTest, AgreesWithAnOrderedMapOverTheWholeRange) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random{seed};
    Model model;
    std::vector<std::unique_ptr<Model::Entry>> entries;
    for (int i = 0; i < 200; ++i) entries.push_back(std::make_unique<Model::Entry>(model));
    if (seed % 3 == 0) model.advance(random() >> random.below(60));
    for (int step = 0; step < 3000; ++step) {
      Model::Entry& entry = *entries[random.below(entries.size())];
      const std::uint64_t distance = random() >> random.below(64);
      switch (random.below(8)) {
        case 0:
        case 1:
        case 2:
        case 3:
          if (entry.set) break;
          if (random.below(8) == 0) {
            model.set(entry, model.now - std::min(distance, model.now));
          } else {
            model.set(entry, model.now + std::min(distance, farthest - model.now));
          }
          break;
        case 4: model.cancel(entry); break;
        case 5: model.check_next_deadline(); break;
        case 6: {
          // As a core does: sleep until the next deadline.
          const std::uint64_t next = model.wheel.next_deadline();
          if (next == no_deadline || model.now / 2 > farthest / 4) break;
          const std::size_t before = model.wheel.size();
          if (random.below(2)) model.set_when_fired = &entry;
          model.passed = model.now;
          model.advance(std::max(next, model.now));
          model.set_when_fired = nullptr;
          EXPECT_LE(model.wheel.size(), before + 1);
          break;
        }
        case 7: {
          const std::uint64_t far = random() >> (4 + random.below(60));
          if (model.now > farthest / 2) break;
          model.passed = model.now;
          model.advance(model.now + std::min(far, farthest / 2));
          break;
        }
      }
      if (testing::Test::HasFailure()) return;
    }
    for (auto& entry : entries) model.cancel(*entry);
    EXPECT_TRUE(model.wheel.empty());
  }
}

TEST(TimerWheelTest, SleepingFromDeadlineToDeadlineReachesEveryTimerInFewSteps) {
  // Each step either fires or brings timers one level down: at most one for each level.
  for (std::uint64_t distance = 1; distance < farthest / 2; distance = distance * 3 + 1) {
    Model model;
    model.advance(123'456'789);
    Model::Entry entry{model};
    model.set(entry, model.now + distance);
    int steps = 0;
    while (entry.set) {
      ASSERT_LE(++steps, 10) << distance;
      model.advance(std::max(model.now, model.wheel.next_deadline()));
    }
    EXPECT_LT(model.now - entry.timer.deadline(), tick_ns) << distance;
  }
}

TEST(TimerWheelTest, EqualDeadlinesFireInTheOrderInWhichTheyWereSet) {
  struct Numbered {
    Timer timer{[](Timer& fired) noexcept {
      auto& self = *base::holder_of<Numbered, &Numbered::timer>(&fired);
      fired.fired();
      self.order->push_back(self.number);
    }};
    std::vector<int>* order = nullptr;
    int number = 0;
  };
  TimerWheel wheel;
  std::vector<int> order;
  std::vector<std::unique_ptr<Numbered>> timers;
  constexpr std::uint64_t when = 777 * 64 * 64 * tick_ns;
  for (int i = 0; i < 100; ++i) {
    timers.push_back(std::make_unique<Numbered>());
    timers.back()->order = &order;
    timers.back()->number = i;
    wheel.advance(when / 100 * static_cast<unsigned>(i));  // so they start on different levels
    wheel.set(timers.back()->timer, when);
  }
  EXPECT_EQ(wheel.advance(when - 1), 0U);
  EXPECT_EQ(wheel.advance(when), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<unsigned>(i)], i);
}

TEST(TimerWheelTest, ATimerMayBeCancelledWhileAnotherOfTheSameSlotFires) {
  struct Killer {
    Timer timer{[](Timer& fired) noexcept {
      auto& self = *base::holder_of<Killer, &Killer::timer>(&fired);
      fired.fired();
      EXPECT_TRUE(self.victim->cancel());
    }};
    Timer* victim = nullptr;
  };
  TimerWheel wheel;
  Killer killer;
  Timer victim{[](Timer&) noexcept { ADD_FAILURE() << "it was cancelled"; }};
  Timer bystander{[](Timer& fired) noexcept { fired.fired(); }};
  killer.victim = &victim;
  wheel.set(killer.timer, 5000);
  wheel.set(victim, 5000);
  wheel.set(bystander, 5000);
  EXPECT_EQ(wheel.advance(10'000), 2U);
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline(), no_deadline);
}

TEST(TimerWheelTest, CancelSaysWhetherItCameInTime) {
  TimerWheel wheel;
  Timer timer{[](Timer& fired) noexcept { fired.fired(); }};
  EXPECT_FALSE(timer.cancel());
  wheel.set(timer, 5000);
  EXPECT_TRUE(timer.cancel());
  EXPECT_FALSE(timer.cancel());
  wheel.set(timer, 5000);
  EXPECT_EQ(wheel.advance(10'000), 1U);
  EXPECT_FALSE(timer.cancel());
}

TEST(TimerWheelTest, AMillionTimers) {
  constexpr std::size_t count = 1'000'000;
  Random random{7};
  Model model;
  struct Counted {
    Timer timer{[](Timer& fired) noexcept { fired.fired(); }};
  };
  TimerWheel wheel;
  const auto timers = std::make_unique<Counted[]>(count);
  for (std::size_t i = 0; i < count; ++i)
    wheel.set(timers[i].timer, random.below(3'600'000'000'000));
  EXPECT_EQ(wheel.size(), count);
  std::size_t cancelled = 0;
  for (std::size_t i = 0; i < count; i += 2) cancelled += timers[i].timer.cancel();
  EXPECT_EQ(cancelled, count / 2);
  std::size_t fired = 0;
  for (std::uint64_t now = 0; fired < count / 2; now += 60'000'000'000) {
    ASSERT_LE(now, 3'660'000'000'000U);
    fired += wheel.advance(now);
  }
  EXPECT_TRUE(wheel.empty());
}

}  // namespace
}  // namespace lichen::coro
