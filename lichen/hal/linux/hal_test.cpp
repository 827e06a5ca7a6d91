#include "lichen/hal/hal.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <thread>

namespace lichen::hal {
namespace {

TEST(Cores, AllRunAndWakesAreNotLost) {
  std::atomic<int> token{0};
  auto entry = [&](CoreId core) {
    EXPECT_EQ(this_core(), core);
    wake(core);
    wait(core, no_deadline);  // the token of before
    for (int i = 0; i < 2'000; ++i) {
      while (token.load() != 2 * i + static_cast<int>(core)) wait(core, no_deadline);
      token.fetch_add(1);
      wake(1 - core);
    }
  };
  ASSERT_TRUE(start_cores({.count = 2}, entry));
  EXPECT_EQ(token.load(), 4'000);
  EXPECT_EQ(this_core(), no_core);
  EXPECT_TRUE(start_cores({.count = 0}, entry).failed_with(Error::invalid_argument));
}

int policy_of_caller() { return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; }

TEST(Urgency, CoresGoBeforeOthersOnRequestAndFromAMomentOn) {
  const auto entry = [](CoreId core) {
    EXPECT_EQ(policy_of_caller(), SCHED_OTHER);
    set_urgent(core, true);
    EXPECT_EQ(policy_of_caller(), SCHED_FIFO);
    std::thread{[] { EXPECT_EQ(policy_of_caller(), SCHED_OTHER) << "what a core starts"; }}.join();
    set_urgent(core, false);
    EXPECT_EQ(policy_of_caller(), SCHED_OTHER);

    // Whatever the core does, and again where it says too late that it is not urgent; unless the
    // host has kept it for so long that it is no longer awaited.
    const auto is_urgent_before = [](std::uint64_t moment_ns) {
      while (policy_of_caller() != SCHED_FIFO)
        if (now_ns() >= moment_ns) return false;
      return true;
    };
    for (int seen = 0; seen < 3;) {
      const std::uint64_t due = now_ns() + 2'000'000;
      urgent_from(core, due);
      bool urgent = is_urgent_before(due + most_awaited_ns);
      set_urgent(core, false);
      urgent = urgent && is_urgent_before(due + most_awaited_ns);
      seen += urgent ? 1 : 0;
      urgent_from(core, no_deadline);
      set_urgent(core, false);
    }
    // Not for ever, where it does not come to what is due.
    const std::uint64_t due = now_ns() + 1'000'000;
    urgent_from(core, due);
    is_urgent_before(due + most_awaited_ns);
    while (policy_of_caller() == SCHED_FIFO) continue;
    EXPECT_GE(now_ns(), due + most_awaited_ns);
    set_urgent(core, false);
    // One that is named anew in time.
    for (int i = 0; i < 20; ++i) {
      urgent_from(core, now_ns() + 1'000'000'000);
      wait(core, now_ns() + 1'000'000);
      EXPECT_EQ(policy_of_caller(), SCHED_OTHER);
    }
  };
  const auto outcome = start_cores({.count = 2, .urgency = true}, entry);
  if (outcome.failed_with(Error::access_denied)) GTEST_SKIP() << "the host gives no such right";
  ASSERT_TRUE(outcome);
  EXPECT_EQ(policy_of_caller(), SCHED_OTHER);
}

// As what the process was started, be it for less or for more than others.
TEST(Urgency, CoresAreWhatTheyWereWhileTheyAreNotUrgent) {
  struct Policy {
    int policy = SCHED_OTHER;
    int priority = 0;
    int nice = 0;
    bool operator==(const Policy&) const = default;
  };
  const auto of_caller = [] {
    sched_param parameters{};
    EXPECT_EQ(sched_getparam(0, &parameters), 0);
    return Policy{policy_of_caller(), parameters.sched_priority, getpriority(PRIO_PROCESS, 0)};
  };
  for (const Policy policy :
       {Policy{SCHED_BATCH, 0, 7}, Policy{SCHED_OTHER, 0, -5}, Policy{SCHED_FIFO, 3, 0}}) {
    std::thread{[&] {
      const sched_param parameters{.sched_priority = policy.priority};
      if (setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), policy.nice) != 0 ||
          sched_setscheduler(0, policy.policy, &parameters) != 0)
        GTEST_SKIP() << "the host gives no such right";
      const auto outcome = start_cores({.count = 2, .urgency = true}, [&](CoreId core) {
        for (const bool urgent : {false, true, false}) {
          set_urgent(core, urgent);
          if (urgent)
            EXPECT_EQ(policy_of_caller(), SCHED_FIFO);
          else
            EXPECT_EQ(of_caller(), policy);
        }
        stand_by(core, true);
        EXPECT_EQ(policy_of_caller(), SCHED_FIFO);
        stand_by(core, false);
        EXPECT_EQ(of_caller(), policy);
      });
      EXPECT_TRUE(outcome);
      EXPECT_EQ(of_caller(), policy);
      EXPECT_EQ(sched_getscheduler(0), policy.policy) << "what it starts later is as it is";
    }}.join();
  }
}

TEST(Urgency, WithoutTheRightNothingStarts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const rlimit none{};
        (void)setrlimit(RLIMIT_RTPRIO, &none);
        (void)setresuid(65'534, 65'534, 65'534);
        const auto outcome = start_cores({.count = 2, .urgency = true}, [](CoreId) { _exit(1); });
        _exit(outcome.failed_with(Error::access_denied) ? 0 : 2);
      },
      testing::ExitedWithCode(0), "");
}

// Two threads that want one processor; then one that wants none.
TEST(Cores, WhatTheHostTakesIsNotWhatTheyWaitFor) {
  auto entry = [](CoreId core) {
    cpu_set_t allowed;
    ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    int first = 0;
    while (!CPU_ISSET(first, &allowed)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    if (taken_ns() == 0) GTEST_SKIP() << "the host does not say";
    std::atomic<bool> over{false};
    std::thread other{[&] {
      while (!over.load()) continue;
    }};
    const std::uint64_t before = taken_ns();
    while (taken_ns() < before + 10'000'000) continue;
    over = true;
    other.join();

    const std::uint64_t began = now_ns();
    const std::uint64_t until_then = taken_ns();
    wait(core, began + 50'000'000);
    const std::uint64_t taken = taken_ns() - until_then;
    EXPECT_LE(taken + 50'000'000, now_ns() - began);
    ASSERT_EQ(sched_setaffinity(0, sizeof allowed, &allowed), 0);
  };
  ASSERT_TRUE(start_cores({.count = 1}, entry));
}

std::atomic<int> taken{0};
void count(Interrupt, CoreId) noexcept { taken.fetch_add(1); }

TEST(Interrupts, AreNotedWhileOff) {
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "ThreadSanitizer keeps signals back until a call that it knows";
#endif
  ASSERT_TRUE(register_interrupt(Interrupt::preempt, count));
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, count));
  auto entry = [](CoreId core) {
    interrupts_off();
    interrupts_off();
    ASSERT_TRUE(send_interrupt(core));
    interrupts_on();
    EXPECT_EQ(taken.load(), 0);
    interrupts_on();
    EXPECT_EQ(taken.load(), 1);
    ASSERT_TRUE(arm_deadline(core, now_ns() + 1'000'000));
    while (taken.load() == 1) wait(core, no_deadline);
    EXPECT_EQ(taken.load(), 2);
  };
  ASSERT_TRUE(start_cores({.count = 1}, entry));
  EXPECT_TRUE(send_interrupt(0).failed_with(Error::invalid_argument));
}

// What a computation keeps in registers of every kind must survive being interrupted anywhere and
// another flow of control, which uses the same registers, running in between.
struct Interruptions {
  Context computing;
  Context other;
  std::atomic<unsigned> served{0};
  volatile double noise = 0;
};
Interruptions* interruptions = nullptr;

std::uint64_t compute(unsigned rounds) noexcept {
  std::array<double, 16> reals{};
  std::array<std::uint64_t, 12> words{};
  for (unsigned i = 0; i < reals.size(); ++i) reals[i] = 1.0 + i;
  for (unsigned i = 0; i < words.size(); ++i) words[i] = i + 1;
  for (unsigned round = 0; round < rounds; ++round) {
    for (unsigned i = 0; i < reals.size(); ++i) reals[i] = reals[i] * 1.0000001 + 0.5;
    for (unsigned i = 0; i < words.size(); ++i)
      words[i] = (words[i] ^ (words[i] << 7) ^ (words[(i + 1) % words.size()] >> 9)) + round;
    if ((words[0] & 1) != 0) words[1] += words[2] > words[3];
  }
  std::uint64_t sum = 0;
  for (const double real : reals) sum = sum * 31 + static_cast<std::uint64_t>(real * 1'000);
  for (const std::uint64_t word : words) sum = sum * 31 + word;
  return sum;
}

void run_the_other_flow() noexcept { switch_to(interruptions->computing, interruptions->other); }
std::atomic<unsigned> not_known{0};
void on_deadline(Interrupt, CoreId) noexcept {
  if (interrupted_at() == 0) not_known.fetch_add(1);
  call_after_interrupt(&run_the_other_flow);
}

TEST(Interrupts, ACallInTheMiddleKeepsEveryRegister) {
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
  GTEST_SKIP() << "a sanitizer's runtime must not be interrupted by a switch of stacks";
#endif
  auto pool = StackPool::create(1, 64 * 1024);
  ASSERT_TRUE(pool);
  const auto stack = *(*pool)->take();
  Interruptions state;
  interruptions = &state;
  state.other.make(
      stack,
      [](void*) noexcept {
        for (;;) {
          for (int i = 0; i < 20; ++i) interruptions->noise = interruptions->noise * 0.5 + i;
          (void)compute(20);
          errno = EDOM;
          interruptions->served.fetch_add(1);
          switch_to(interruptions->other, interruptions->computing);
        }
      },
      nullptr);
  constexpr unsigned rounds = 2'000;
  const std::uint64_t expected = compute(rounds);
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, on_deadline));
  auto entry = [&](CoreId core) {
    errno = ERANGE;
    unsigned wrong = 0;
    // One at a time, whenever it comes: the next must not interrupt the other flow, nor the way
    // back from it.
    for (unsigned i = 0; i < 2'000; ++i) {
      ASSERT_TRUE(arm_deadline(core, now_ns() + i * 7'919 % 60'000));
      wrong += compute(rounds) != expected;
      while (state.served.load() == i) {
      }
    }
    EXPECT_EQ(wrong, 0u);
    EXPECT_EQ(not_known.load(), 0u);
    EXPECT_EQ(errno, ERANGE);
    ASSERT_TRUE(register_interrupt(Interrupt::deadline, count));
  };
  ASSERT_TRUE(start_cores({.count = 1}, entry));
  (*pool)->give_back(stack);
}

struct Pair {
  Context main;
  Context other;
  int steps = 0;
};

TEST(Context, SwitchesThereAndBack) {
  auto pool = StackPool::create(1, 64 * 1024);
  ASSERT_TRUE(pool);
  auto stack = (*pool)->take();
  ASSERT_TRUE(stack);
  EXPECT_TRUE((*pool)->take().failed_with(Error::limit_reached));
  Pair pair;
  pair.other.make(
      *stack,
      [](void* argument) noexcept {
        auto& mine = *static_cast<Pair*>(argument);
        for (;;) {
          ++mine.steps;
          switch_to(mine.other, mine.main);
        }
      },
      &pair);
  for (int i = 0; i < 1'000; ++i) switch_to(pair.main, pair.other);
  EXPECT_EQ(pair.steps, 1'000);
  (*pool)->give_back(*stack);
}

TEST(Pages, ComeAlignedAreSharedAndGoBack) {
  auto pages = allocate_aligned(1 << 20, 1 << 20);
  ASSERT_TRUE(pages);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pages->data()) % (1 << 20), 0u);
  auto view = map_pages(*pages, Access::read);
  ASSERT_TRUE(view);
  (*pages)[5] = std::byte{42};
  EXPECT_EQ((*view)[5], std::byte{42});
  EXPECT_GE(*resident_pages(*pages), 1u);
  unmap_pages(*view);
  const auto allocated = page_statistics().allocated;
  free_pages(*pages);
  trim_pages();
  EXPECT_EQ(page_statistics().dirty, 0u);
  EXPECT_EQ(page_statistics().allocated, allocated - (1 << 20));
  EXPECT_EQ(*resident_pages(*pages), 0u);
}

}  // namespace
}  // namespace lichen::hal
