// The schedule against a naive reference: thousands of random workloads, each a function of its
// seed. LICHEN_SEED=n runs one, LICHEN_SEEDS=n as many.
#include "reference.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/sched/schedule.hpp"

namespace lichen::sched::test {
namespace {

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000'000;

class Duel {
 public:
  explicit Duel(std::uint64_t seed) : random_{seed}, seed_{seed}, reference_{parameters_} {
    reference_.apps.push_back({.weight = 128, .foreground = true});  // instead of the default group
    registry_.default_group().set_weight(128);
    const auto apps = 1 + random_.below(6);
    for (std::uint64_t i = 0; i < apps; ++i) {
      const std::uint32_t weight = 32U << random_.below(6);
      const bool foreground = random_.chance(0.5);
      groups_.push_back(*Group::create(registry_, {.weight = weight, .foreground = foreground}));
      reference_.apps.push_back({.weight = weight, .foreground = foreground});
    }
    reference_.lines.push_back({.kind = Reference::Line::event});
    lanes_.push_back(&schedule_.event_lane());
    for (std::size_t app = 0; app <= groups_.size(); ++app)
      for (unsigned q = 0; q < qos_count; ++q) {
        if (random_.chance(0.3)) continue;
        reference_.lines.push_back({.app = static_cast<int>(app), .qos = q});
        lanes_.push_back(&schedule_.lane(group(app).lane(static_cast<Qos>(q))));
      }
    for (auto frames = random_.below(4); frames > 0; --frames) add_frames();
  }

  void run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed_ << " step " << step);
      wake_some();
      if (random_.chance(0.02)) switch_some();
      pick_and_run();
      if (random_.chance(0.05)) steal_some();
    }
  }

 private:
  Group& group(std::size_t app) { return app == 0 ? registry_.default_group() : *groups_[app - 1]; }

  void add_frames() {
    const std::size_t app = random_.below(groups_.size() + 1);
    const auto period = static_cast<std::int64_t>(1 * ms + random_.below(20) * ms / 2);
    const auto budget = static_cast<std::int64_t>(period / (4 + random_.below(10)));
    auto made = Reservation::create(
        schedule_, group(app),
        {.period = std::chrono::nanoseconds{period}, .budget = std::chrono::nanoseconds{budget}});
    if (!made) return;
    reservations_.push_back(*std::move(made));
    lanes_.push_back(&schedule_.lane(reservations_.back()->lane()));
    reference_.lines.push_back({.kind = Reference::Line::frame,
                                .app = static_cast<int>(app),
                                .period = static_cast<std::uint64_t>(period),
                                .budget = static_cast<std::uint64_t>(budget),
                                .jitter = std::min<std::uint64_t>(4 * ms, period * 3 / 10)});
  }

  void wake_some() {
    const double chance = busy_ ? 0.3 : 0.03;
    if (random_.chance(0.01)) busy_ = !busy_;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& line = reference_.lines[i];
      if (line.ready || line.running || !random_.chance(i == 0 ? 0.02 : chance)) continue;
      schedule_.insert(*lanes_[i], now_);
      reference_.insert(static_cast<int>(i), now_);
    }
  }

  void steal_some() {
    const std::size_t i = random_.below(lanes_.size());
    const auto& line = reference_.lines[i];
    if (!line.ready || line.kind == Reference::Line::event) return;
    schedule_.remove(*lanes_[i], now_);
    reference_.remove(static_cast<int>(i), now_);
  }

  void switch_some() {
    group(random_.below(groups_.size() + 1)).set_foreground(random_.chance(0.5));
  }

  // What the schedule sees when it looks next: where each group is by now, in their order. A lone
  // lane does not look.
  void show_switches(std::uint64_t now) {
    if (schedule_.alone()) return;
    for (std::size_t app = 0; app <= groups_.size(); ++app)
      if (reference_.set_foreground(static_cast<int>(app), group(app).foreground(), now - charged_,
                                    now))
        charged_ = now;
  }

  void pick_and_run() {
    std::size_t expected = 0;
    for (const auto& line : reference_.lines) expected += line.ready;
    ASSERT_EQ(schedule_.ready(), expected);
    show_switches(now_);
    Lane* lane = schedule_.pick(now_);
    const std::set<int> allowed = reference_.allowed(now_);
    if (!lane) {
      ASSERT_TRUE(allowed.empty());
      now_ += 1 + random_.below(20 * ms);
      return;
    }
    int id = 0;
    while (lanes_[static_cast<std::size_t>(id)] != lane) ++id;
    ASSERT_TRUE(allowed.contains(id)) << "picked " << id << ", allowed " << *allowed.begin();
    ASSERT_EQ(lane->state, LaneState::running);
    reference_.pick(id);
    check_buckets();

    if (random_.chance(0.2)) wake_some();
    if (random_.chance(0.02)) switch_some();
    const std::uint64_t ran = draw_run();
    charged_ = now_;
    look_ahead(*lane, id, ran);
    now_ += ran;
    const bool still_ready = random_.chance(0.7);
    schedule_.put_back(*lane, ran, now_, still_ready);
    reference_.put_back(now_ - charged_, now_, still_ready);
    ASSERT_EQ(lane->state, still_ready ? LaneState::ready : LaneState::idle);
  }

  void check_buckets() {
    if (schedule_.alone()) return;
    for (unsigned b = 0; b < bucket_count; ++b) {
      SCOPED_TRACE(::testing::Message() << "bucket " << b);
      ASSERT_EQ(schedule_.clutch().waits(b), reference_.waits(b));
      ASSERT_EQ(schedule_.clutch().warp_left(b), reference_.warp_left(b));
      if (reference_.waits(b)) ASSERT_EQ(schedule_.clutch().deadline(b), reference_.deadline(b));
    }
  }

  std::uint64_t draw_run() {
    switch (random_.below(8)) {
      case 0: return 0;
      case 1: return random_.below(30 * ms);
      case 2: return random_.below(us);
      default: return random_.below(2 * ms);
    }
  }

  // overtaken() and next_decision() agree with what putting back and picking would do.
  void look_ahead(const Lane& lane, int id, std::uint64_t ran) {
    const std::uint64_t since = now_;
    const std::uint64_t end = now_ + ran;
    if (schedule_.alone() || random_.chance(0.5)) return;
    if (!overtaken(lane, id, since, since)) {
      const std::uint64_t next = schedule_.next_decision(lane, since, now_);
      EXPECT_GT(next, now_);
      const std::uint64_t before = std::min(end, next - 1);
      if (before > now_) {
        const std::uint64_t some_time = now_ + random_.below(before - now_);
        EXPECT_FALSE(overtaken(lane, id, since, some_time));
      }
    }
    overtaken(lane, id, since, end);
  }

  bool overtaken(const Lane& lane, int id, std::uint64_t since, std::uint64_t now) {
    show_switches(now);
    const bool overtaken = schedule_.overtaken(lane, since, now);
    reference_.look(now);
    Reference trial = reference_;
    const bool fair = trial.runs_fair();
    const bool request_done = !fair || trial.request_done(now - charged_);
    trial.put_back(now - charged_, now, true);
    const std::set<int> allowed = trial.allowed(now);
    if (!overtaken) {
      if (!allowed.contains(id)) {
        // A request is not cut short for another of the same bucket.
        EXPECT_TRUE(fair && !request_done) << *allowed.begin() << " would run";
        EXPECT_EQ(trial.bucket_of_line(*allowed.begin()), trial.bucket_of_line(id));
      }
      reference_.charge(now - charged_, now);
      charged_ = now;
    } else if (lane.kind != LaneKind::frame) {
      // A frame lane whose budget ends, or comes back, stops for that in any case.
      EXPECT_TRUE(allowed.size() > 1 || !allowed.contains(id)) << "nothing else would run";
    }
    return overtaken;
  }

  Random random_;
  const std::uint64_t seed_;
  ScheduleParameters parameters_;
  Registry registry_{parameters_};
  Schedule schedule_{registry_, 0};
  Reference reference_;
  std::vector<Group::Handle> groups_;
  std::vector<Reservation::Handle> reservations_;
  std::vector<Lane*> lanes_;
  std::uint64_t now_ = 1'000 * ms;
  std::uint64_t charged_ = 0;  // until when the running lane is, while there is one
  bool busy_ = true;
};

TEST(Reference, AllowsEveryPick) {
  const char* one = std::getenv("LICHEN_SEED");
  const char* many = std::getenv("LICHEN_SEEDS");
  const std::uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one ? 1 : many ? std::strtoull(many, nullptr, 10) : 2'000;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Duel{seed}.run(400);
    ASSERT_FALSE(HasFailure()) << "replay with LICHEN_SEED=" << seed;
  }
}

}  // namespace
}  // namespace lichen::sched::test
