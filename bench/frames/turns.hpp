// What one preemption costs, seen by those it happens to: two flows of control that only compute
// share a processor, and each notes the time over and over. When it finds that the other one was
// the last to do so, the gap between both notes is what the change from one to the other took.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "bench/frames/workload.hpp"

namespace bench::frames {

class Turns {
 public:
  Turns() {
    gaps_.reserve(1 << 20);
    const std::uint64_t cycles = __builtin_readcyclecounter(), start = now_ns();
    while (now_ns() < start + 20'000'000) {
    }
    cycles_per_us_ = static_cast<double>(__builtin_readcyclecounter() - cycles) /
                     (static_cast<double>(now_ns() - start) / 1000);
  }

  void start(double seconds) {
    end_ =
        __builtin_readcyclecounter() + static_cast<std::uint64_t>(seconds * 1e6 * cycles_per_us_);
  }
  // The part of one flow; returns when the time is over. Calls nothing.
  void take_part(unsigned me) {
    std::uint64_t mine = 0;
    for (;;) {
      const std::uint64_t now = __builtin_readcyclecounter();
      if (now >= end_) return;
      const std::uint64_t others = noted_[1 - me];
      if (others > now) continue;  // it ran between the two lines above
      if (others > mine && gaps_.size() < gaps_.capacity()) gaps_.push_back(now - others);
      noted_[me] = mine = now;
    }
  }

  void print(const char* variant, double seconds) {
    for (std::uint64_t& gap : gaps_)
      gap = static_cast<std::uint64_t>(static_cast<double>(gap) * 1000 / cycles_per_us_);
    std::ranges::sort(gaps_);
    std::printf(
        "{\"name\":\"preempt\",\"variant\":\"%s\",\"preemptions\":%zu,\"slice_ms\":%.3f,"
        "\"cost_p50_us\":%.2f,\"cost_p99_us\":%.2f,\"cost_max_us\":%.2f}\n",
        variant, gaps_.size(),
        seconds * 1000 / static_cast<double>(std::max<std::size_t>(gaps_.size(), 1)),
        Report::at(gaps_, 0.5), Report::at(gaps_, 0.99), Report::at(gaps_, 1));
  }

 private:
  // Only one flow runs at a time, but either may be stopped anywhere.
  volatile std::uint64_t noted_[2] = {0, 0};
  std::uint64_t end_ = 0;
  double cycles_per_us_ = 1;
  std::vector<std::uint64_t> gaps_;
};

}  // namespace bench::frames
