// What docs/scheduling.md promises, measured in random worlds, each a function of its seed.
// LICHEN_SEED=n runs one of them, LICHEN_SEEDS=n as many.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "lichen/base/random.hpp"
#include "world.hpp"

namespace lichen::sched::test {
namespace {

// Calls what(seed) for each seed until one fails.
void for_seeds(std::uint64_t count, const std::function<void(std::uint64_t)>& what) {
  const char* one = std::getenv("LICHEN_SEED");
  const char* many = std::getenv("LICHEN_SEEDS");
  const std::uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1;
  if (one) count = 1;
  if (!one && many) count = std::strtoull(many, nullptr, 10);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    what(seed);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "replay with LICHEN_SEED=" << seed;
  }
}

Group::Handle make(World& world, const GroupOptions& options) {
  auto group = Group::create(world.registry, options);
  EXPECT_TRUE(group);
  return *std::move(group);
}

// Lets jobs of random length come to a lane at random times.
void visit(World& world, Random& random, unsigned core, LaneId lane, std::uint64_t length,
           std::uint64_t gap) {
  world.at(world.now + 1 + random.below(gap), [&world, &random, core, lane, length, gap] {
    world.add(core, lane, 1 + random.below(length));
    visit(world, random, core, lane, length, gap);
  });
}

bool in_budget(const Lane& lane) { return lane.kind == LaneKind::frame && !lane.exhausted; }

// EEVDF, theorem 1: nobody who always has work is ever ahead of its fluid share, or behind it, by
// as much as its longest request.
TEST(Properties, LagIsBoundedByTheRequest) {
  for_seeds(150, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    const double slice = static_cast<double>(world.registry.parameters().slice_ns);
    std::vector<Group::Handle> groups;
    std::map<Lane*, double> weights, ran;
    double total = 0;
    for (auto n = 2 + random.below(12); n > 0; --n) {
      const auto weight =
          static_cast<std::uint32_t>(1 + random.below(random.chance(0.2) ? 5'000 : 300));
      groups.push_back(make(world, {.weight = weight}));
      const LaneId id = groups.back()->lane(Qos::utility);
      weights[&world.schedule().lane(id)] = weight;
      total += weight;
      world.hog(0, id, 1 + random.below(6 * ms));
    }
    const std::uint64_t began = world.now;
    world.ran = [&](unsigned, Lane& lane, std::uint64_t from, std::uint64_t to) {
      ran[&lane] += static_cast<double>(to - from);
      for (auto& [other, weight] : weights) {
        const double lag = static_cast<double>(to - began) * weight / total - ran[other];
        ASSERT_LE(std::abs(lag), slice + 1'000) << "weight " << weight;
      }
    };
    world.run_until(began + 1'500 * ms);
  });
}

// The figure: weights 1 to 3, within 5 % over a second.
TEST(Properties, SharesFollowWeights) {
  World world;
  auto one = make(world, {.weight = 100});
  auto three = make(world, {.weight = 300});
  world.hog(0, one->lane(Qos::utility), 700 * us);
  world.hog(0, three->lane(Qos::utility), 50 * us);
  world.run_until(world.now + 1'000 * ms);
  const double share = static_cast<double>(three->statistics().fair_ns()) /
                       static_cast<double>(one->statistics().fair_ns());
  EXPECT_NEAR(share, 3.0, 0.05);
}

// Each bucket that has work runs within its latency, the windows of the others, and twice their
// warps: what was left when its deadline passed, and once more from their last service by deadline.
// Frames and events come on top.
TEST(Properties, BucketsRunWithinTheirLatency) {
  for_seeds(150, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    const ScheduleParameters& p = world.registry.parameters();
    std::vector<Group::Handle> groups;
    for (auto n = 1 + random.below(8); n > 0; --n)
      groups.push_back(make(world, {.weight = static_cast<std::uint32_t>(1 + random.below(400)),
                                    .foreground = random.chance(0.5)}));
    for (auto& group : groups)
      for (unsigned q = 0; q < qos_count; ++q) {
        const LaneId id = group->lane(static_cast<Qos>(q));
        if (random.chance(0.4))
          world.hog(0, id, 1 + random.below(10 * ms));
        else if (random.chance(0.6))
          visit(world, random, 0, id, 8 * ms, 100 * ms);
      }
    visit(world, random, 0, coro::event_lane, 50 * us, 3 * ms);
    auto frames = Reservation::create(
        world.schedule(), *groups[0],
        {.period = std::chrono::milliseconds{8}, .budget = std::chrono::milliseconds{2}});
    ASSERT_TRUE(frames);
    visit(world, random, 0, (*frames)->lane(), 3 * ms, 20 * ms);

    std::array<std::uint64_t, bucket_count> waited{};
    std::array<std::uint64_t, bucket_count> bound{};
    for (unsigned b = 0; b < bucket_count; ++b) {
      bound[b] = p.latency_ns[b] + 1 * us;
      for (unsigned other = 0; other < bucket_count; ++other)
        if (other != b) bound[b] += p.window_ns[other] + 2 * p.warp_ns[other];
    }
    world.ran = [&](unsigned, Lane& lane, std::uint64_t from, std::uint64_t to) {
      if (lane.kind == LaneKind::event || in_budget(lane)) return;
      std::array<bool, bucket_count> waits{};
      for (Lane* other : world.lanes(0))
        if (other->kind != LaneKind::event && !in_budget(*other) && world.waits(0, *other))
          waits[bucket_of(other->group->foreground(), other->qos)] = true;
      waits[bucket_of(lane.group->foreground(), lane.qos)] = false;
      for (unsigned b = 0; b < bucket_count; ++b) {
        waited[b] = waits[b] ? waited[b] + to - from : 0;
        ASSERT_LE(waited[b], bound[b]) << band_name(first_bucket_band + b);
      }
    };
    world.run_until(world.now + 4'000 * ms);
  });
}

// What is urgent and has not run lately goes before everything less urgent at once, and within a
// window at worst.
TEST(Properties, UrgentBurstsGoFirst) {
  for_seeds(100, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    auto front = make(world, {.foreground = true});
    auto back = make(world, {});
    for (unsigned q = 1; q < qos_count; ++q) world.hog(0, front->lane(static_cast<Qos>(q)), 5 * ms);
    for (unsigned q = 0; q < qos_count; ++q) world.hog(0, back->lane(static_cast<Qos>(q)), 5 * ms);
    const LaneId urgent = front->lane(Qos::user_interactive);
    std::uint64_t worst = 0;
    world.finished = [&](Lane& lane, const Job& job) {
      if (lane.id == urgent) worst = std::max(worst, world.now - job.released);
    };
    for (std::uint64_t t = 0; t < 3'000 * ms; t += 16 * ms + random.below(16 * ms))
      world.at(world.now + t, [&] { world.add(0, urgent, 1 * ms); });
    world.run_until(world.now + 3'000 * ms);
    EXPECT_LE(worst, 1 * ms + world.registry.parameters().window_ns[1]);
  });
}

// Every frame of every admitted reservation is done by its deadline, whatever else is there: hogs,
// events, late timers, and reservations that want more than they have.
TEST(Properties, AdmittedFramesAreNeverLate) {
  for_seeds(200, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    auto front = make(world, {.foreground = true});
    auto back = make(world, {.guarantee_permille = 100});
    world.hog(0, front->lane(Qos::user_interactive), 4 * ms);
    world.hog(0, back->lane(Qos::background), 30 * ms);
    visit(world, random, 0, coro::event_lane, 20 * us, 1 * ms);
    struct Track {
      Reservation::Handle reservation;
      std::uint64_t period, budget, start;
      bool greedy;
      std::uint64_t frames = 0;
    };
    std::vector<std::unique_ptr<Track>> tracks;
    for (int tries = 0; tries < 20; ++tries) {
      const std::uint64_t period = (10 + random.below(300)) * 100 * us;
      const std::uint64_t budget = period * (1 + random.below(30)) / 100;
      auto made = Reservation::create(
          world.schedule(), random.chance(0.5) ? *front : *back,
          {.period = std::chrono::nanoseconds{period}, .budget = std::chrono::nanoseconds{budget}});
      if (!made) {
        ASSERT_TRUE(made.failed_with(Error::limit_reached));
        continue;
      }
      tracks.push_back(std::make_unique<Track>(
          *std::move(made), period, budget, world.now + random.below(period), random.chance(0.2)));
    }
    ASSERT_LE(world.schedule().admission().admitted_ppm(), 700'000u);
    std::function<void(Track&, std::uint64_t)> next = [&](Track& track, std::uint64_t due) {
      const std::uint64_t late =
          random.chance(0.3) ? random.below(std::min(200 * us, track.period / 10)) : 0;
      world.at(due + late, [&, due] {
        std::uint64_t length = 1 + random.below(track.budget);
        if (random.chance(0.3)) length = track.budget;
        if (track.greedy) length = track.budget * 3;
        ++track.frames;
        world.add(0, track.reservation->lane(), length);
        next(track, due + track.period);
      });
    };
    std::map<LaneId, Track*> by_lane;
    for (auto& track : tracks) {
      by_lane[track->reservation->lane()] = track.get();
      track->reservation->align(track->start);
      next(*track, track->start);
    }
    world.finished = [&](Lane& lane, const Job& job) {
      const auto found = by_lane.find(lane.id);
      if (found == by_lane.end() || found->second->greedy) return;
      const Track& track = *found->second;
      const std::uint64_t deadline = track.start + job.number * track.period;
      ASSERT_LE(world.now, deadline) << "frame " << job.number << " of " << track.period;
    };
    world.run_until(world.now + 1'000 * ms);
    for (auto& track : tracks) {
      if (track->greedy)
        EXPECT_GT(track->reservation->overruns(), 0u);
      else
        EXPECT_EQ(track->reservation->overruns(), 0u);
    }
  });
}

// A group with a guarantee has it also while the foreground wants everything.
TEST(Properties, GuaranteesHoldUnderForegroundLoad) {
  for_seeds(100, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    auto front = make(world, {.foreground = true});
    const auto permille = static_cast<std::uint32_t>(5 + random.below(246));
    auto back = make(world, {.guarantee_permille = permille});
    auto other = make(world, {});
    for (unsigned q = 0; q < qos_count; ++q) {
      world.hog(0, front->lane(static_cast<Qos>(q)), 1 + random.below(10 * ms));
      world.hog(0, other->lane(static_cast<Qos>(q)), 1 + random.below(10 * ms));
    }
    world.hog(0, back->lane(static_cast<Qos>(random.below(qos_count))), 1 + random.below(5 * ms));
    auto frames = Reservation::create(
        world.schedule(), *front,
        {.period = std::chrono::milliseconds{10}, .budget = std::chrono::milliseconds{6}});
    ASSERT_TRUE(frames);
    visit(world, random, 0, (*frames)->lane(), 12 * ms, 12 * ms);
    const std::uint64_t began = world.now;
    for (int second = 1; second <= 3; ++second) {
      world.run_until(began + static_cast<std::uint64_t>(second) * 1'000 * ms);
      const std::uint64_t promised = (world.now - began) * permille / 1'000;
      // A slice may be due, and a period of frames may just be in its way.
      EXPECT_GE(back->statistics().fair_ns() + 1 * ms + 6 * ms, promised)
          << permille << " permille";
    }
  });
}

// Over all cores a limited group never has more than its limit in any period, and alone it has all.
TEST(Properties, LimitsAreNeverExceeded) {
  for_seeds(100, [](std::uint64_t seed) {
    Random random{seed};
    const auto cores = static_cast<unsigned>(1 + random.below(3));
    World world{cores};
    const std::uint64_t period = world.registry.parameters().limit_period_ns;
    const auto permille = static_cast<std::uint32_t>(10 + random.below(1'500));
    auto limited = make(world, {.foreground = true, .limit_permille = permille});
    auto rival = make(world, {.foreground = true});
    const bool alone = random.chance(0.5);
    for (unsigned core = 0; core < cores; ++core) {
      for (unsigned q = 0; q < qos_count; ++q)
        if (random.chance(0.6) || q == 0)
          world.hog(core, limited->lane(static_cast<Qos>(q)), 1 + random.below(10 * ms));
      if (!alone) world.hog(core, rival->lane(Qos::user_initiated), 2 * ms);
    }
    std::map<std::uint64_t, std::uint64_t> used;
    world.ran = [&](unsigned, Lane& lane, std::uint64_t from, std::uint64_t to) {
      if (lane.group != limited.get()) return;
      // No step crosses a period's end.
      used[from / period] += to - from;
      ASSERT_LE((to - 1) / period, from / period);
      ASSERT_LE(used[from / period], period * permille / 1'000);
    };
    const std::uint64_t began = world.now;
    world.run_until(began + 10 * period);
    if (!alone) return;
    const std::uint64_t most = std::min<std::uint64_t>(permille, cores * 1'000);
    for (auto& [number, ns] : used) EXPECT_GE(ns, period * most / 1'000 * 97 / 100);
  });
}

// An app whose weight is changed again and again, in the middle of its own requests and of those of
// others, is neither ahead of its share for that nor behind it: as in LagIsBoundedByTheRequest, up
// to what the core has not seen of the latest change.
TEST(Properties, WeightsThatChangeAllTheTimeGainAndLoseNothing) {
  for_seeds(40, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    std::vector<Group::Handle> groups;
    std::map<Lane*, std::pair<Group*, double>> apps;  // and how far it is behind
    for (auto n = 2 + random.below(5); n > 0; --n) {
      const auto weight = static_cast<std::uint32_t>(1'000 + random.below(4'000));
      groups.push_back(make(world, {.weight = weight}));
      const LaneId id = groups.back()->lane(Qos::utility);
      apps[&world.schedule().lane(id)] = {groups.back().get(), 0.0};
      world.hog(0, id, 1 + random.below(6 * ms));
    }
    // Nearly the same weight, so that it does not matter when a core learns of it.
    const std::uint64_t apart = 1 + random.below(random.chance(0.7) ? 5 * ms : 50 * us);
    const std::uint64_t began = world.now;
    for (std::uint64_t t = 0; t < 300 * ms; t += 1 + random.below(apart))
      world.at(began + t, [&, up = random.chance(0.5)] {
        Group& group = *groups[random.below(groups.size())];
        const std::uint32_t even = group.weight() & ~1U;
        group.set_weight(up ? even | 1U : even);
        if (random.chance(0.5)) groups[0]->set_weight(groups[0]->weight() ^ 1U);
      });
    const double slice = static_cast<double>(world.registry.parameters().slice_ns);
    world.ran = [&](unsigned, Lane& lane, std::uint64_t from, std::uint64_t to) {
      double total = 0;
      for (auto& [other, app] : apps) total += app.first->weight();
      const auto length = static_cast<double>(to - from);
      for (auto& [other, app] : apps) {
        app.second += length * app.first->weight() / total - (other == &lane ? length : 0);
        ASSERT_LE(std::abs(app.second), slice * 1.2) << "weight " << app.first->weight();
      }
    };
    world.run_until(began + 300 * ms);
  });
}

// An app that goes to the foreground and back all the time, just when it has had its turn, never
// has more of what either place hands out than if it had always been there.
TEST(Properties, SwitchingAllTheTimeGainsNothing) {
  for_seeds(60, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    const Qos qos = random.chance(0.5) ? Qos::utility : Qos::user_initiated;
    std::vector<Group::Handle> groups;
    std::array<double, 2> weights{};  // of all who may be there
    for (auto n = 2 + random.below(4); n > 0; --n) {
      const auto weight = static_cast<std::uint32_t>(100 + random.below(300));
      const bool front = groups.size() > 1 && random.chance(0.5);
      groups.push_back(make(world, {.weight = weight, .foreground = front}));
      world.hog(0, groups.back()->lane(qos), 1 + random.below(6 * ms));
      weights[front] += weight;
    }
    Group& restless = *groups[0];
    weights[true] += restless.weight();
    const auto toggle = [&] {
      restless.set_foreground(!restless.foreground());
      world.look(0);
    };
    const std::uint64_t turn = 1 + random.below(4 * ms), away = 1 + random.below(8 * ms);
    const bool comes_back = random.chance(0.5);
    std::uint64_t had = 0;
    std::array<double, 2> ahead{};
    const double slice = static_cast<double>(world.registry.parameters().slice_ns);
    world.ran = [&](unsigned, Lane& lane, std::uint64_t from, std::uint64_t to) {
      const bool front = lane.group->foreground(), mine = lane.group == &restless;
      const auto length = static_cast<double>(to - from);
      ahead[front] += (mine ? length : 0) - length * restless.weight() / weights[front];
      ASSERT_LE(ahead[front], 1.2 * slice) << "after " << (to - 1'000 * ms) / us << " us";
      if (!mine || (had += to - from) < turn) return;
      had = 0;
      world.at(to, toggle);
      if (comes_back) world.at(to + away, toggle);
    };
    world.run_until(world.now + 1'000 * ms);
  });
}

// Weights far apart: each has the part that was its own in the meantime.
TEST(Properties, SharesFollowWeightsThatChange) {
  for_seeds(20, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    auto steady = make(world, {.weight = 300});
    auto changing = make(world, {.weight = 100});
    world.hog(0, steady->lane(Qos::utility), 1 + random.below(5 * ms));
    world.hog(0, changing->lane(Qos::utility), 1 + random.below(5 * ms));
    const std::uint64_t began = world.now;
    for (std::uint64_t t = 0; t < 40'000 * ms; t += 1 + random.below(100 * ms))
      world.at(began + t, [&] { changing->set_weight(changing->weight() == 100 ? 900 : 100); });
    double fluid = 0;
    world.ran = [&](unsigned, Lane&, std::uint64_t from, std::uint64_t to) {
      const double weight = changing->weight();
      fluid += static_cast<double>(to - from) * weight / (weight + 300);
    };
    world.run_until(began + 40'000 * ms);
    EXPECT_NEAR(static_cast<double>(changing->statistics().fair_ns()), fluid, 0.03 * fluid);
  });
}

// Jobs of a lane finish in the order in which they came, preempted or not.
TEST(Properties, LanesAreFirstInFirstOut) {
  for_seeds(50, [](std::uint64_t seed) {
    Random random{seed};
    World world;
    std::vector<Group::Handle> groups;
    for (int i = 0; i < 5; ++i) groups.push_back(make(world, {.foreground = random.chance(0.5)}));
    for (auto& group : groups)
      for (unsigned q = 0; q < qos_count; ++q)
        visit(world, random, 0, group->lane(static_cast<Qos>(q)), 3 * ms, 30 * ms);
    std::map<LaneId, std::uint64_t> last;
    world.finished = [&](Lane& lane, const Job& job) {
      ASSERT_EQ(job.number, last[lane.id] + 1);
      last[lane.id] = job.number;
    };
    world.run_until(world.now + 1'000 * ms);
  });
}

// Apps that go to the foreground and back at random: all of the above in the small, and nobody is
// lost.
TEST(Properties, ForegroundSwitchesLoseNobody) {
  for_seeds(50, [](std::uint64_t seed) {
    Random random{seed};
    World world{2};
    std::vector<Group::Handle> groups;
    for (int i = 0; i < 6; ++i)
      groups.push_back(make(world, {.weight = static_cast<std::uint32_t>(1 + random.below(500)),
                                    .guarantee_permille = i < 2 ? 50U : 0U,
                                    .limit_permille = i == 5 ? 200U : 0U}));
    for (unsigned core = 0; core < 2; ++core)
      for (auto& group : groups)
        world.hog(core, group->lane(static_cast<Qos>(random.below(4))), 2 * ms);
    for (std::uint64_t t = 0; t < 2'000 * ms; t += random.below(5 * ms))
      world.at(world.now + t, [&] {
        groups[random.below(groups.size())]->set_foreground(random.chance(0.5));
        groups[random.below(groups.size())]->set_weight(
            static_cast<std::uint32_t>(random.below(500)));
      });
    world.run_until(world.now + 4'000 * ms);
    std::uint64_t sum = 0;
    for (auto& group : groups) {
      EXPECT_GT(group->statistics().fair_ns(), 10 * ms);
      sum += group->statistics().fair_ns();
    }
    // What runs at the end is not charged yet.
    EXPECT_GE(sum + 2 * 10 * ms, 2 * 4'000 * ms);
  });
}

}  // namespace
}  // namespace lichen::sched::test
