// calls: what one operation executes in steady state: instructions, atomic read-modify-writes, heap
// calls and system calls, counted instruction by instruction.
#include "counting.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/scope.hpp"
#include "measure.hpp"

namespace bench {

namespace {

Task<> empty() { co_return; }
Task<Result<int>> one() { co_return 1; }

Task<> answer(Channel<int>& ping, Channel<int>& pong) {
  while (auto value = co_await ping.receive())
    if (!co_await pong.send(*value)) co_return;
}
Task<> yield_for_ever(const bool& over) {
  while (!over) co_await yield();
}

constexpr const char* http_request = "HTTP request";
constexpr const char* bytes_only = "bytes there and back";  // over the same stream, without HTTP

struct Plan {
  const char* operation;
  std::uint64_t count;
};

// Does the operation `count` times; the first round fills the pools, the second is counted.
Task<Result<void>> run_operation(const Plan& plan) {
  const std::string_view name = plan.operation;
  Channel<int> ping{1};
  Channel<int> pong{1};
  bool over = false;
  Scope others;
  if (name == "channel message") others.spawn(answer(ping, pong));
  if (name == "yield") others.spawn(yield_for_ever(over));
  for (int round = 0; round < 2; ++round) {
    if (round == 1) counting_starts();
    if (name == "spawn and join") {
      Scope scope;
      for (std::uint64_t i = 0; i < plan.count; ++i) scope.spawn(empty());
      CO_TRY(co_await scope.join());
    } else if (name == "yield") {
      // Two tasks take turns: count / 2 turns each.
      for (std::uint64_t i = 0; i < plan.count / 2; ++i) co_await yield();
    } else if (name == "await") {
      for (std::uint64_t i = 0; i < plan.count; ++i) CO_TRY(co_await one());
    } else {
      // A round trip is two messages.
      for (std::uint64_t i = 0; i < plan.count / 2; ++i) {
        CO_TRY(co_await ping.send(1));
        CO_TRY(co_await pong.receive());
      }
    }
    if (round == 1) counting_ends();
  }
  over = true;
  ping.close();
  co_return co_await others.join();
}

[[clang::coro_wrapper]] Task<Result<void>> run_any(const Plan& plan) {
  const std::string_view name = plan.operation;
  if (name == http_request) return count_requests(plan.count, true);
  if (name == bytes_only) return count_requests(plan.count, false);
  return run_operation(plan);
}

void run_plan(void* argument) {
  const auto& plan = *static_cast<const Plan*>(argument);
  // Interrupts come by the clock, which runs on while single steps make everything 1,000 times
  // slower.
  on_machine(1, [&] [[clang::coro_wrapper]] () { return run_any(plan); }, false);
}

}  // namespace

void calls(const Args& args) {
  const std::uint64_t all = args.number("operations", 1'000);
  for (const char* operation :
       {"spawn and join", "yield", "await", "channel message", http_request, bytes_only}) {
    // A single step takes the host some 10 us; these have thousands.
    const bool long_one = operation == http_request || operation == bytes_only;
    Plan plan{operation, long_one ? std::max<std::uint64_t>(all / 10, 2) : all};
    const Executed executed = count_in_child(&run_plan, &plan);
    auto each = [&plan](std::uint64_t n) {
      return static_cast<double>(n) / static_cast<double>(plan.count);
    };
    std::printf(
        "{\"name\":\"calls\",\"variant\":\"%s\",\"instructions\":%.1f,\"atomic_operations\":%.3f,"
        "\"heap_calls\":%.3f,\"system_calls\":%.3f}\n",
        operation, each(executed.instructions), each(executed.locked), each(executed.heap_calls),
        each(executed.system_calls));
    std::fflush(stdout);
  }
}

}  // namespace bench
