// The benchmarks' work on Boost.Fiber, one thread. bench/README.md says what each name measures.
#include <boost/fiber/all.hpp>

#include "bench/peers/measure.hpp"

namespace {

namespace fibers = boost::fibers;
using bench::peers::Args;
using bench::peers::ns_per_op;
using bench::peers::print;

// Stacks are pooled and small: what a program that spawns fibers by the million would choose.
fibers::pooled_fixedsize_stack stacks{16 * 1024};

template <class Body>
fibers::fiber start(Body&& body) {
  return fibers::fiber{fibers::launch::post, std::allocator_arg, stacks, std::forward<Body>(body)};
}

void spawn(const Args& args) {
  long count = args.number("--count", 1'000'000);
  long batch = args.number("--batch", 1'000);
  std::vector<fibers::fiber> all;
  double ns = ns_per_op(args.number("--repeat", 5), count / batch * batch, [&] {
    for (long i = 0; i < count / batch; ++i) {
      for (long j = 0; j < batch; ++j) all.push_back(start([] {}));
      for (fibers::fiber& fiber : all) fiber.join();
      all.clear();
    }
  });
  print("spawn", "batch " + std::to_string(batch), ns);
}

void yield(const Args& args) {
  long tasks = args.number("--tasks", 10);
  long each = std::max(args.number("--total", 10'000'000) / tasks, 1L);
  double ns = ns_per_op(args.number("--repeat", 5), each * tasks, [&] {
    std::vector<fibers::fiber> all;
    for (long i = 0; i < tasks; ++i)
      all.push_back(start([each] {
        for (long j = 0; j < each; ++j) boost::this_fiber::yield();
      }));
    for (fibers::fiber& fiber : all) fiber.join();
  });
  print("yield", std::to_string(tasks) + " tasks", ns);
}

// Round trips between two fibers; a buffered channel of Boost.Fiber holds at least one value.
void channel(const Args& args) {
  long messages = args.number("--messages", 1'000'000);
  double ns = ns_per_op(args.number("--repeat", 5), messages, [&] {
    fibers::buffered_channel<long> ping{2};
    fibers::buffered_channel<long> pong{2};
    fibers::fiber far = start([&] {
      for (long value : ping) pong.push(value + 1);
    });
    fibers::fiber near = start([&] {
      for (long value = 0; value < messages; ++value) {
        ping.push(value);
        if (pong.value_pop() != value + 1) std::abort();
      }
      ping.close();
    });
    near.join();
    far.join();
  });
  print("channel", "round trip, capacity 1", ns);
}

}  // namespace

int main(int count, char** words) {
  Args args{count, words};
  if (args.name() == "spawn")
    spawn(args);
  else if (args.name() == "yield")
    yield(args);
  else if (args.name() == "channel")
    channel(args);
  else
    return std::fprintf(stderr, "peer_fiber: spawn, yield or channel\n"), 2;
}
