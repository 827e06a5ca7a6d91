// forkjoin --n N --workers W: Fibonacci by tbb::task_group, one fork to each call; ns per call.
#include <tbb/global_control.h>
#include <tbb/task_group.h>

#include "bench/peers/measure.hpp"

namespace {

long fib(long n) {
  if (n < 2) return n;
  long a;
  tbb::task_group group;
  group.run([&a, n] { a = fib(n - 1); });
  long b = fib(n - 2);
  group.wait();
  return a + b;
}

long calls(long n) { return n < 2 ? 1 : 1 + calls(n - 1) + calls(n - 2); }

}  // namespace

int main(int count, char** words) {
  bench::peers::Args args{count, words};
  if (args.name() != "forkjoin") return std::fprintf(stderr, "usage: forkjoin [--n N]\n"), 2;
  long n = args.number("--n", 30);
  long workers = args.number("--workers", 1);
  tbb::global_control limit{tbb::global_control::max_allowed_parallelism,
                            static_cast<size_t>(workers)};
  volatile long result;
  double ns =
      bench::peers::ns_per_op(args.number("--repeat", 5), calls(n), [&] { result = fib(n); });
  bench::peers::print("forkjoin", "TBB, " + std::to_string(workers) + " workers", ns);
}
