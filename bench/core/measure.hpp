// Arguments, repeated timing and the JSON line of a result, the same for all our micro-benchmarks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "lichen/coro/task.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/machine.hpp"

namespace bench {

using namespace lichen;

// `NAME --param value ...`
class Args {
 public:
  Args(int count, char** words) : words_{words + 2, words + count} {}
  [[nodiscard]] std::uint64_t number(const char* key, std::uint64_t fallback) const {
    for (std::size_t i = 0; i + 1 < words_.size(); i += 2)
      if (words_[i].substr(2) == key) return std::strtoull(words_[i + 1].c_str(), nullptr, 10);
    return fallback;
  }
  [[nodiscard]] std::string text(const char* key, const char* fallback) const {
    for (std::size_t i = 0; i + 1 < words_.size(); i += 2)
      if (words_[i].substr(2) == key) return words_[i + 1];
    return fallback;
  }

 private:
  std::vector<std::string> words_;
};

// Runs a task on a machine of its own and ends the process if that fails.
template <class Make>
void on_machine(unsigned cores, Make make, bool preemption = true) {
  sched::MachineOptions options;
  options.cores = cores;
  options.preemption = preemption;
  auto machine = sched::Machine::create(options);
  auto outcome = machine ? (*machine)->run(make()) : Result<void>{machine.error()};
  if (outcome) return;
  std::fprintf(stderr, "bench_core: %s\n", std::string{base::describe(outcome.error())}.c_str());
  std::exit(1);
}

// Median of `repeat` timings of co_await work(), in ns per operation. The first run warms up.
template <class Work>
Task<Result<double>> ns_per_op(std::uint64_t repeat, double operations, Work work) {
  std::vector<double> times;
  for (std::uint64_t i = 0; i <= repeat; ++i) {
    const std::uint64_t start = hal::now_ns();
    CO_TRY(co_await work());
    if (i > 0) times.push_back(static_cast<double>(hal::now_ns() - start) / operations);
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                   times.end());
  co_return times[times.size() / 2];
}

inline void print(const char* name, const std::string& variant, double ns) {
  std::printf("{\"name\":\"%s\",\"variant\":\"%s\",\"ns_per_op\":%.3f}\n", name, variant.c_str(),
              ns);
  std::fflush(stdout);
}

// Keeps the compiler from knowing a value.
template <class T>
inline void opaque(T& value) {
  asm volatile("" : "+r"(value));
}

// The benchmarks, one for each name on the command line.
void spawn(const Args& args);
void yields(const Args& args);
void awaits(const Args& args);
void memory(const Args& args);
void channel(const Args& args);
void skynet(const Args& args);
void timers(const Args& args);
void calls(const Args& args);

// HTTP requests over a stream in memory, or the stream alone with as many bytes, between
// counting_starts() and counting_ends().
Task<Result<void>> count_requests(std::uint64_t times, bool with_server);

}  // namespace bench
