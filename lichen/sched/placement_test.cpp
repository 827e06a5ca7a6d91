#include "lichen/sched/placement.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <vector>

#include "lichen/base/random.hpp"

namespace lichen::sched {
namespace {

constexpr std::uint64_t ms = 1'000'000;

struct Core {
  std::uint32_t capacity = 1'024;
  std::uint32_t utilisation = 0;
  std::uint64_t admitted_ppm = 0;
  std::size_t offered = 0;
  std::size_t waiting = 0;
  std::size_t waiting_of_lane = 0;
};

struct Cores final : CoresView {
  explicit Cores(std::vector<Core> given) : all{std::move(given)} {
    count = static_cast<unsigned>(all.size());
    usable = idle = (Mask{1} << count) - 1;
  }
  std::uint32_t capacity(unsigned core) const noexcept override { return all[core].capacity; }
  std::uint32_t utilisation(unsigned core) const noexcept override { return all[core].utilisation; }
  std::uint64_t admitted_ppm(unsigned core) const noexcept override {
    return all[core].admitted_ppm;
  }
  std::size_t offered(unsigned core) const noexcept override { return all[core].offered; }
  std::size_t waiting(unsigned core) const noexcept override { return all[core].waiting; }
  std::size_t waiting(unsigned core, LaneId lane) const noexcept override {
    return lane == of_lane ? all[core].waiting_of_lane : 0;
  }
  static constexpr LaneId of_lane = 7;
  std::vector<Core> all;
};

constexpr CorePower big_power{.busy = 1'700, .idle = 40};
constexpr CorePower little_power{.busy = 300, .idle = 10};
constexpr std::array power{big_power, big_power, little_power, little_power};
constexpr Work urgent{.qos = Qos::user_interactive, .foreground = true};
constexpr Work background{.qos = Qos::background, .foreground = false};

Cores big_little() { return Cores{{{1'024}, {1'024}, {512}, {512}}}; }

TEST(UtilisationTest, HalvesInItsHalfLife) {
  Utilisation load;
  EXPECT_EQ(load.at(5 * ms), 0U);
  load.set(true, 1'000 * ms);
  EXPECT_NEAR(load.at(1'032 * ms), 512, 4);
  EXPECT_NEAR(load.at(1'064 * ms), 768, 5);
  EXPECT_EQ(load.at(10'000 * ms), 1'024U);
  load.set(false, 10'000 * ms);
  EXPECT_NEAR(load.at(10'032 * ms), 512, 4);
  EXPECT_NEAR(load.at(10'096 * ms), 128, 3);
  EXPECT_EQ(load.at(20'000 * ms), 0U);
}

TEST(UtilisationTest, IsTheMeanHoweverShortThePieces) {
  for (const std::uint64_t period : {2'000U, 20'000U, 1'000'000U}) {
    for (const unsigned percent : {10U, 50U, 90U}) {
      Utilisation load;
      std::uint64_t now = 0;
      for (; now < 2'000 * ms; now += period) {
        load.set(true, now);
        load.set(false, now + period * percent / 100);
      }
      EXPECT_NEAR(load.at(now), 1'024.0 * percent / 100, 24) << period << " ns, " << percent;
    }
  }
}

TEST(UtilisationTest, ClocksOfReadersMayBeBehindAndTimeMayBeLong) {
  Utilisation load;
  load.set(true, 500 * ms);
  load.set(false, 600 * ms);
  EXPECT_EQ(load.at(599 * ms), load.at(600 * ms));
  load.set(true, 3'600'000 * ms);
  EXPECT_EQ(load.at(3'600'000 * ms), 0U);
  EXPECT_NEAR(load.at(3'600'032 * ms), 512, 4);
}

TEST(SpreadTest, TakesAnyIdleCoreAndTheOneWithMostToGive) {
  Cores cores{{{}, {}, {}, {}}};
  const Placement& spread = default_placement();
  cores.idle = 0b1100;
  EXPECT_EQ(spread.core_to_wake(cores, 0, background), 2U);
  cores.idle = 0;
  EXPECT_EQ(spread.core_to_wake(cores, 0, urgent), no_core);
  EXPECT_EQ(spread.victim(cores, 3), no_core);
  cores.all[1].offered = 2;
  cores.all[2].offered = 5;
  EXPECT_EQ(spread.victim(cores, 3), 2U);
  cores.all[0].offered = 5;
  EXPECT_EQ(spread.victim(cores, 3), 0U) << "ties go to the next in turn";
  EXPECT_FALSE(spread.moves_work());
  EXPECT_EQ(spread.better_core(cores, 1, background), 1U);
}

TEST(SpreadTest, WhatWaitsGoesWhereLeastWaits) {
  Cores cores{{{}, {}, {}}};
  const Placement& spread = default_placement();
  cores.idle = 0;
  cores.all[0].waiting = 1;
  EXPECT_EQ(spread.lighter_core(cores, 0), 0U) << "one task more is no reason";
  cores.all[0].waiting = 3;
  cores.all[1].waiting = 1;
  EXPECT_EQ(spread.lighter_core(cores, 0), 2U);
  EXPECT_EQ(spread.lighter_core(cores, 2), 2U);
  cores.usable = 0b011;
  EXPECT_EQ(spread.lighter_core(cores, 0), 1U);
  EXPECT_EQ(Pack{}.lighter_core(cores, 0), 0U);
  cores.all[1].waiting_of_lane = 2;
  EXPECT_EQ(spread.lighter_core(cores, 1, Cores::of_lane), 0U) << "though more waits there in all";
  EXPECT_EQ(spread.lighter_core(cores, 0, Cores::of_lane), 0U);
  EXPECT_EQ(spread.lighter_core(cores, 1, Cores::of_lane + 1), 1U);
}

TEST(SpreadTest, FramesGoWhereLeastIsPromised) {
  Cores cores{{{}, {}, {}}};
  cores.all[0].admitted_ppm = 100;
  cores.all[2].admitted_ppm = 50;
  const FrameWork work{.budget_ns = ms, .deadline_ns = 8 * ms};
  EXPECT_EQ(default_placement().core_for_frames(cores, work, 0), 1U);
  EXPECT_EQ(default_placement().core_for_frames(cores, work, 0b010), 2U);
  EXPECT_EQ(default_placement().core_for_frames(cores, work, 0b111), no_core);
  cores.usable = 0b001;
  EXPECT_EQ(default_placement().core_for_frames(cores, work, 0), 0U)
      << "others are not in the lease";
}

TEST(PackTest, WakesTheNextCoreWhenOneIsFull) {
  Cores cores{{{}, {}, {}}};
  const Pack pack;
  cores.idle = 0b110;
  cores.all[0].utilisation = 500;
  EXPECT_EQ(pack.core_to_wake(cores, 0, urgent), no_core);
  EXPECT_EQ(pack.victim(cores, 1), no_core);
  cores.all[0].offered = 1;
  EXPECT_EQ(pack.victim(cores, 1), no_core) << "the first core has room";
  cores.all[0].utilisation = 900;
  EXPECT_EQ(pack.core_to_wake(cores, 0, urgent), 1U);
  EXPECT_EQ(pack.victim(cores, 1), 0U);
}

TEST(PackTest, GoesBackToEarlierCores) {
  Cores cores{{{}, {}, {}}};
  const Pack pack;
  cores.all[0].utilisation = 300;
  EXPECT_EQ(pack.better_core(cores, 2, {.load = 200}), 0U);
  EXPECT_EQ(pack.better_core(cores, 2, {.load = 700}), 1U);
  cores.all[1].utilisation = 400;
  EXPECT_EQ(pack.better_core(cores, 2, {.load = 700}), 2U);
  EXPECT_EQ(pack.better_core(cores, 0, {.load = 700}), 0U);
}

TEST(PackTest, FramesFillOneCoreAfterAnother) {
  Cores cores{{{256}, {}, {}}};
  const Pack pack;
  const FrameWork work{.budget_ns = 3 * ms, .deadline_ns = 8 * ms};
  EXPECT_EQ(pack.core_for_frames(cores, work, 0), 1U) << "the first one is too slow";
  EXPECT_EQ(pack.core_for_frames(cores, work, 0b010), 2U);
}

TEST(EnergyAwareTest, UrgentWorkGoesToBigCoresAndBackgroundToLittleOnes) {
  const EnergyAware policy{power};
  Cores cores = big_little();
  EXPECT_LT(policy.cost(cores, 2), policy.cost(cores, 0));
  EXPECT_EQ(policy.core_to_wake(cores, 2, urgent), 0U);
  cores.all[0].utilisation = 100;
  EXPECT_EQ(policy.core_to_wake(cores, 2, urgent), 1U) << "the one that rested longer";
  EXPECT_EQ(policy.core_to_wake(cores, 0, background), 2U);
  cores.idle = 0b0011;
  EXPECT_EQ(policy.core_to_wake(cores, 2, background), no_core) << "the little core has room";
  cores.all[2].utilisation = cores.all[3].utilisation = 1'000;
  EXPECT_EQ(policy.core_to_wake(cores, 2, background), 1U) << "nothing waits for energy's sake";
  cores.idle = 0b1000;
  cores.all[3].utilisation = 0;
  EXPECT_EQ(policy.core_to_wake(cores, 1, urgent), 3U) << "better a little core than none";
}

TEST(EnergyAwareTest, MovesWhatIsOnTheWrongKindOfCore) {
  const EnergyAware policy{power};
  Cores cores = big_little();
  cores.idle = 0b0110;
  EXPECT_EQ(policy.better_core(cores, 0, background), 2U);
  EXPECT_EQ(policy.better_core(cores, 2, background), 2U);
  EXPECT_EQ(policy.better_core(cores, 2, urgent), 1U);
  EXPECT_EQ(policy.better_core(cores, 0, urgent), 0U);
  const Work heavy{.qos = Qos::background, .foreground = false, .load = 450};
  EXPECT_EQ(policy.better_core(cores, 0, heavy), 0U) << "it would fill a little core";
  cores.all[2].utilisation = 700;
  const Work light{.qos = Qos::background, .foreground = false, .load = 100};
  EXPECT_EQ(policy.better_core(cores, 0, light), 3U);
}

TEST(EnergyAwareTest, BigCoresStealFromLittleOnesOnlyWhenThoseAreFull) {
  const EnergyAware policy{power};
  Cores cores = big_little();
  cores.all[2].offered = 3;
  EXPECT_EQ(policy.victim(cores, 0), no_core);
  EXPECT_EQ(policy.victim(cores, 3), 2U);
  cores.all[2].utilisation = 900;
  EXPECT_EQ(policy.victim(cores, 0), 2U);
  cores.usable &= ~CoresView::Mask{0b0100};
  cores.all[2].utilisation = 0;
  EXPECT_EQ(policy.victim(cores, 0), 2U) << "it has left the lease";
}

TEST(EnergyAwareTest, FramesGoToTheCheapestCoreThatIsFastEnough) {
  const EnergyAware policy{power};
  Cores cores = big_little();
  EXPECT_EQ(policy.core_for_frames(cores, {.budget_ns = ms, .deadline_ns = 8 * ms}, 0), 2U);
  cores.all[2].admitted_ppm = 10'000;
  EXPECT_EQ(policy.core_for_frames(cores, {.budget_ns = ms, .deadline_ns = 8 * ms}, 0), 3U);
  EXPECT_EQ(policy.core_for_frames(cores, {.budget_ns = 3 * ms, .deadline_ns = 8 * ms}, 0), 0U);
  EXPECT_EQ(policy.core_for_frames(cores, {.budget_ns = 3 * ms, .deadline_ns = 8 * ms}, 0b01), 1U);
  EXPECT_EQ(policy.core_for_frames(cores, {.budget_ns = 5 * ms, .deadline_ns = 8 * ms}, 0b11),
            no_core)
      << "no little core can be in time";
}

// Whatever the numbers are, no policy proposes a core that may not be proposed.
TEST(PlacementTest, ProposalsAreSound) {
  Random random{7};
  const Spread spread;
  const Pack pack;
  const EnergyAware energy{power};
  for (unsigned round = 0; round < 20'000; ++round) {
    std::vector<Core> given(1 + random.below(8));
    for (Core& core : given)
      core = {.capacity = static_cast<std::uint32_t>(1 + random.below(1'024)),
              .utilisation = static_cast<std::uint32_t>(random.below(1'025)),
              .admitted_ppm = random.below(700'000),
              .offered = random.below(3) ? 0 : random.below(10)};
    Cores cores{given};
    const auto any = [&] { return static_cast<unsigned>(random.below(cores.count)); };
    cores.usable &= random() | 1;
    cores.idle = cores.usable & random();
    const Work work{.qos = static_cast<Qos>(random.below(4)),
                    .foreground = random.below(2) == 0,
                    .load = static_cast<std::uint32_t>(random.below(1'025))};
    const FrameWork frame{.budget_ns = 1 + random.below(10 * ms),
                          .deadline_ns = 1 + random.below(20 * ms)};
    for (const Placement* policy :
         {static_cast<const Placement*>(&spread), static_cast<const Placement*>(&pack),
          static_cast<const Placement*>(&energy)}) {
      const unsigned woken = policy->core_to_wake(cores, any(), work);
      EXPECT_TRUE(woken == no_core || cores.is_idle(woken));
      const unsigned thief = any();
      const unsigned victim = policy->victim(cores, thief);
      EXPECT_TRUE(victim == no_core || (victim != thief && cores.offered(victim) > 0));
      const CoresView::Mask refused = random();
      const unsigned frames = policy->core_for_frames(cores, frame, refused);
      EXPECT_TRUE(frames == no_core || (cores.is_usable(frames) && !(refused >> frames & 1)));
      if (policy != &spread && frames != no_core) {
        EXPECT_LE(frame.budget_ns * 1'024 / cores.capacity(frames), frame.deadline_ns)
            << policy->name() << ": a core that is too slow";
      }
      const unsigned here = any();
      const unsigned better = policy->better_core(cores, here, work);
      EXPECT_TRUE(better == here || cores.is_usable(better));
      // Nobody gives work back to where it came from.
      if (better != here) {
        EXPECT_EQ(policy->better_core(cores, better, work) == here, false);
      }
      const unsigned leaver = any();
      if ((cores.usable & ~(CoresView::Mask{1} << leaver)) != 0 && !cores.is_usable(leaver)) {
        const unsigned heir = policy->heir(cores, leaver, work);
        ASSERT_NE(heir, no_core);
        EXPECT_TRUE(heir != leaver && cores.is_usable(heir));
      }
    }
  }
}

}  // namespace
}  // namespace lichen::sched
