// bench_frames NAME [--param value]...: who runs when, and what that costs. One JSON line a result.
#include <string_view>

#include "bench/frames/ours.hpp"

namespace {

struct Program {
  std::string_view name;
  void (*run)(const bench::frames::Args& args);
  const char* parameters;
};
constexpr Program programs[] = {
    {"frames", bench::frames::frames,
     "--tracks 4 --work-us 1000 --hz 120 --frames 600 --hogs N --io-hz 1000 --preempt 0|1"},
    {"preempt", bench::frames::preempt, "--seconds 5"},
    {"fairness", bench::frames::fairness, "--seconds 5"},
    {"inherit", bench::frames::inherit, "--tracks 4 --work-us 1000 --hz 120 --frames 600"},
    {"idle", bench::frames::idle, "--seconds 5"},
};

int usage(std::FILE* to, int status) {
  std::fprintf(to, "usage: bench_frames NAME [--param value]...\n\n");
  for (const Program& program : programs)
    std::fprintf(to, "  %-9.*s %s\n", static_cast<int>(program.name.size()), program.name.data(),
                 program.parameters);
  return status;
}

}  // namespace

int main(int count, char** words) {
  const bench::frames::Args args{count, words};
  if (args.name() == "--help") return usage(stdout, 0);
  for (const Program& program : programs) {
    if (program.name != args.name()) continue;
    program.run(args);
    return 0;
  }
  return usage(stderr, 2);
}
