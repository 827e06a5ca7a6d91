// bench_core NAME [--param value]...: micro-benchmarks of the runtime, one JSON line a result.
#include <cstdio>
#include <string_view>

#include "measure.hpp"

namespace {

struct Benchmark {
  std::string_view name;
  void (*run)(const bench::Args& args);
  const char* parameters;
};
constexpr Benchmark benchmarks[] = {
    {"spawn", bench::spawn, "--count 1000000 --batch 1000 --repeat 5"},
    {"yield", bench::yields, "--tasks 10 --total 10000000 --repeat 5"},
    {"await", bench::awaits, "--depth 1 --total 10000000 --repeat 5"},
    {"memory", bench::memory, "--tasks 1000000"},
    {"channel", bench::channel,
     "--kind pingpong|stream|batch --messages 1000000 --capacity 1 --workers 1 --repeat 5"},
    {"skynet", bench::skynet, "--leaves 1000000 --workers 1 --repeat 5"},
    {"timers", bench::timers, "--pending 1000000 --count 1000000"},
    {"calls", bench::calls, "--operations 1000"},
};

int usage(std::FILE* to, int status) {
  std::fprintf(to, "usage: bench_core NAME [--param value]...\n\n");
  for (const Benchmark& benchmark : benchmarks)
    std::fprintf(to, "  %-8.*s %s\n", static_cast<int>(benchmark.name.size()),
                 benchmark.name.data(), benchmark.parameters);
  return status;
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) return usage(stderr, 2);
  const std::string_view name = words[1];
  if (name == "--help") return usage(stdout, 0);
  for (const Benchmark& benchmark : benchmarks) {
    if (benchmark.name != name) continue;
    benchmark.run(bench::Args{count, words});
    return 0;
  }
  std::fprintf(stderr, "bench_core: no benchmark is named %s\n", words[1]);
  return usage(stderr, 2);
}
