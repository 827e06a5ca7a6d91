// Witness: why the frames of a track are late. On the machine's own calls, so that the simulator
// can put each reason to the test (tests/sim/late.cpp).
#pragma once

#include <algorithm>
#include <cstdint>

#include "bench/frames/reason.hpp"
#include "lichen/base/core_slot.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/frames.hpp"

namespace bench::frames {

// What counts is what has happened since the track was last in time: a frame that waits for a late
// one is late for the same reason. Used by the track's own task, which stays on its core.
class Witness {
 public:
  static constexpr std::uint64_t piece_us = 25;

  // `slept`: how often the calling thread has given its processor away by itself.
  Witness(const lichen::sched::Frames& frames, std::uint64_t (*slept)())
      : frames_{&frames}, slept_{slept}, start_{look()} {}

  // The track is in time: it has nothing to do before its next frame is due.
  void in_time() {
    start_ = look();
    gaps_ns_ = 0;
    late_ = false;
  }
  void was_late() { late_ = true; }

  [[nodiscard]] Reason reason(std::uint64_t late_ns) const {
    const Marks now = look();
    if (now.replaced != start_.replaced) return Reason::stand_in;
    // What the thread did not run is the host's doing only if it always wanted to.
    if (now.slept != start_.slept) return Reason::slept;
    std::uint64_t known = more(now.kept_ns, start_.kept_ns);
    if (known >= late_ns) return Reason::host;
    known += gaps_ns_ + now.unseen_ns - start_.unseen_ns;
    if (known >= late_ns) return Reason::unseen;
    if (known + now.withheld_ns - start_.withheld_ns >= late_ns) return Reason::section;
    return now.overruns != start_.overruns ? Reason::budget : Reason::other;
  }

  // The track was in time, and since then the host took no part of its core.
  [[nodiscard]] bool undisturbed() const {
    const Marks now = look();
    return !late_ && now.replaced == start_.replaced && now.slept == start_.slept &&
           now.unseen_ns == start_.unseen_ns &&
           more(now.kept_ns, start_.kept_ns) < least_gap_us * 1000;
  }

  // The work of a frame, in pieces: compute(first, us) each. A piece that takes much longer
  // although it was not set aside was interrupted by the host.
  template <class Compute>
  void work(std::uint64_t us, Compute compute) {
    std::uint64_t kept = kept_by_host();
    std::uint64_t began = lichen::hal::now_ns();
    lichen::sched::CoreStatistics before = statistics();
    while (us > 0) {
      const std::uint64_t piece = std::min(us, piece_us);
      compute(piece);
      us -= piece;
      const std::uint64_t ended = lichen::hal::now_ns();
      const lichen::sched::CoreStatistics after = statistics();
      const std::uint64_t least = after.interrupts == before.interrupts ? least_gap_us : handler_us;
      if (ended - began > (piece + least) * 1000 && after.preemptions == before.preemptions) {
        // Of which so much is known already.
        const std::uint64_t now_kept = kept_by_host();
        const std::uint64_t known = more(now_kept, kept) + after.unseen_ns - before.unseen_ns;
        kept = now_kept;
        gaps_ns_ += more(ended - began - piece * 1000, known);
      }
      began = ended;
      before = after;
    }
  }

 private:
  static constexpr std::uint64_t least_gap_us = 100, handler_us = 300;
  struct Marks {
    std::uint64_t kept_ns, unseen_ns, withheld_ns, overruns, replaced, slept;
  };

  // How long the host has kept the processor from this thread.
  static std::uint64_t kept_by_host() {
    return more(lichen::hal::now_ns(), lichen::hal::core_time_ns());
  }
  static lichen::sched::CoreStatistics statistics() {
    return lichen::sched::Executor::current().statistics();
  }
  // The two clocks are not read at the same moment.
  static std::uint64_t more(std::uint64_t now, std::uint64_t before) {
    return now > before ? now - before : 0;
  }
  [[nodiscard]] Marks look() const {
    const lichen::sched::CoreStatistics core = statistics();
    return {.kept_ns = kept_by_host(),
            .unseen_ns = core.unseen_ns,
            .withheld_ns = core.withheld_ns,
            .overruns = frames_->reservation().overruns(),
            .replaced = core.replaced,
            .slept = slept_()};
  }

  const lichen::sched::Frames* frames_;
  std::uint64_t (*slept_)();
  Marks start_;
  std::uint64_t gaps_ns_ = 0;
  bool late_ = false;
};

}  // namespace bench::frames
