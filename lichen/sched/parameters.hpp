// The numbers of the scheduling policy, in one place. docs/scheduling.md explains them.
#pragma once

#include <array>
#include <cstdint>

#include "lichen/sched/qos.hpp"

namespace lichen::sched {

// Times are in nanoseconds. "Clutch" is Apple's description of its scheduler (xnu,
// doc/scheduler/sched_clutch_edge.md), which has five buckets; where we have more the last column
// says "ours".
struct ScheduleParameters {
  static constexpr std::uint64_t us = 1'000;
  static constexpr std::uint64_t ms = 1'000 * us;

  // Worst-case execution latency: a bucket's deadline is so far behind the time at which it became
  // runnable or was served. Clutch (IN, DF, UT, BG); those of the background are ours.
  std::array<std::uint64_t, bucket_count> latency_ns = {
      37'500 * us, 75 * ms, 150 * ms, 250 * ms, 500 * ms, 600 * ms, 800 * ms, 1'000 * ms};
  // How long a bucket may go before less urgent ones whose deadline is earlier, from one service by
  // deadline to the next. Clutch (FG, IN, DF, UT; BG has none); those of the background are ours.
  std::array<std::uint64_t, bucket_count> warp_ns = {8 * ms, 4 * ms, 2 * ms, 1 * ms,
                                                     1 * ms, 1 * ms, 1 * ms, 0};
  // How long a bucket that was starved then runs before everybody. Clutch, whose window is the
  // bucket's quantum (FG, IN, DF, UT); those of the background are ours, BG having 2 ms.
  std::array<std::uint64_t, bucket_count> window_ns = {10 * ms, 8 * ms, 6 * ms, 4 * ms,
                                                       4 * ms,  3 * ms, 2 * ms, 2 * ms};

  // The size of a group's requests in EEVDF (Stoica and Abdel-Wahab, 1995), and so the bound of its
  // lag. The value is Linux's, which runs the same algorithm.
  std::uint64_t slice_ns = 3 * ms;
  // What a group may have got beyond its share and still has to make up for. Ours: it bounds how
  // long a group waits that was served from its guarantee while its bucket was not.
  std::uint64_t debt_limit_ns = 100 * ms;

  // The part of a core that reservations may take together. Abeni and Buttazzo (1998) allow all of
  // it; the rest is for events, for the price of switching and for everybody else.
  std::uint32_t admission_permille = 700;
  // How late a frame may come and still have its whole budget, as far as admission leaves room for
  // it: timers are late, not tasks, and a host gives the core away for a tick of 4 ms. Ours.
  std::uint64_t release_jitter_ns = 4 * ms;

  // A group's limit holds over each of these periods; the value is that of Linux's cpu.max.
  std::uint64_t limit_period_ns = 100 * ms;
  // What a core takes of a limited group's budget at once. Ours.
  std::uint64_t limit_chunk_ns = 3 * ms;

  // A guaranteed group goes first once it is owed this much, and then until it is owed nothing.
  std::uint64_t guarantee_slice_ns = 1 * ms;
  // It is never owed more than its part of this time. Ours.
  std::uint64_t guarantee_window_ns = 100 * ms;
  // The sum of all guarantees, of one core. Ours: with the reservations it leaves something.
  std::uint32_t guarantee_total_permille = 250;
};

}  // namespace lichen::sched
