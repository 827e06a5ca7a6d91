#pragma once

#include <time.h>

#include <cstdint>

namespace bench::load {

inline uint64_t read_clock(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}
inline uint64_t now() { return read_clock(CLOCK_MONOTONIC); }
inline uint64_t own_cpu_time() { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace bench::load
