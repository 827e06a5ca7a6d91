// spawn, yield, await, skynet: what a task costs.
#include <array>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/waiting.hpp"
#include "measure.hpp"

namespace bench {

namespace {

Task<> empty(std::uint64_t number) {
  opaque(number);
  co_return;
}

Task<Result<void>> spawn_batches(std::uint64_t batches, std::uint64_t batch) {
  for (std::uint64_t b = 0; b < batches; ++b) {
    Scope scope;
    for (std::uint64_t i = 0; i < batch; ++i) scope.spawn(empty(i));
    CO_TRY(co_await scope.join());
  }
  co_return Result<void>{};
}

Task<> yield_times(std::uint64_t times) {
  while (times-- > 0) co_await yield();
}

Task<Result<void>> yield_among(std::uint64_t tasks, std::uint64_t each) {
  Scope scope;
  for (std::uint64_t i = 0; i < tasks; ++i) scope.spawn(yield_times(each));
  co_return co_await scope.join();
}

Task<Result<std::uint64_t>> chain(std::uint64_t depth) {
  if (depth == 0) {
    std::uint64_t one = 1;
    opaque(one);
    co_return one;
  }
  co_return CO_TRY(co_await chain(depth - 1)) + 1;
}

Task<Result<void>> await_chains(std::uint64_t chains, std::uint64_t depth) {
  std::uint64_t sum = 0;
  // chain(0) is a child itself, so a chain of depth 1 is one frame.
  for (std::uint64_t i = 0; i < chains; ++i) sum += CO_TRY(co_await chain(depth - 1));
  if (sum != chains * depth) co_return Error::internal;
  co_return Result<void>{};
}

Task<Result<std::uint64_t>> tree(std::uint64_t first, std::uint64_t leaves) {
  if (leaves == 1) co_return first;
  const std::uint64_t part = leaves / 10;
  auto children = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{tree(first + I * part, part)...};
  }(std::make_index_sequence<10>{});
  Scope scope;
  for (auto& child : children) scope.fork(child);
  CO_TRY(co_await scope.join());
  std::uint64_t sum = 0;
  for (auto& child : children) sum += CO_TRY(child.take_result());
  co_return sum;
}

Task<Result<void>> grow_tree(std::uint64_t leaves) {
  const std::uint64_t sum = CO_TRY(co_await tree(0, leaves));
  if (sum != leaves * (leaves - 1) / 2) co_return Error::internal;
  co_return Result<void>{};
}

std::string cores_text(std::uint64_t cores) {
  return std::to_string(cores) + (cores == 1 ? " core" : " cores");
}

}  // namespace

void spawn(const Args& args) {
  const std::uint64_t batch = args.number("batch", 1'000);
  const std::uint64_t batches = args.number("count", 1'000'000) / batch;
  const std::uint64_t repeat = args.number("repeat", 5);
  const auto cores = static_cast<unsigned>(args.number("workers", 1));
  on_machine(cores, [&]() -> Task<Result<void>> {
    const double ns = CO_TRY(co_await ns_per_op(
        repeat, static_cast<double>(batches * batch),
        [&] [[clang::coro_wrapper]] () { return spawn_batches(batches, batch); }));
    print("spawn", cores_text(cores) + ", batch " + std::to_string(batch), ns);
    co_return Result<void>{};
  });
}

void yields(const Args& args) {
  const std::uint64_t tasks = args.number("tasks", 10);
  const std::uint64_t each = std::max<std::uint64_t>(args.number("total", 10'000'000) / tasks, 1);
  const std::uint64_t repeat = args.number("repeat", 5);
  on_machine(1, [&]() -> Task<Result<void>> {
    const double ns = CO_TRY(
        co_await ns_per_op(repeat, static_cast<double>(tasks * each),
                           [&] [[clang::coro_wrapper]] () { return yield_among(tasks, each); }));
    print("yield", "1 core, " + std::to_string(tasks) + " tasks", ns);
    co_return Result<void>{};
  });
}

void awaits(const Args& args) {
  const std::uint64_t depth = args.number("depth", 1);
  const std::uint64_t chains = args.number("total", 10'000'000) / depth;
  const std::uint64_t repeat = args.number("repeat", 5);
  on_machine(1, [&]() -> Task<Result<void>> {
    const double ns = CO_TRY(
        co_await ns_per_op(repeat, static_cast<double>(chains * depth),
                           [&] [[clang::coro_wrapper]] () { return await_chains(chains, depth); }));
    print("await", "depth " + std::to_string(depth), ns);
    co_return Result<void>{};
  });
}

void skynet(const Args& args) {
  const std::uint64_t leaves = args.number("leaves", 1'000'000);
  const std::uint64_t repeat = args.number("repeat", 5);
  const auto cores = static_cast<unsigned>(args.number("workers", 1));
  on_machine(cores, [&]() -> Task<Result<void>> {
    const double ns = CO_TRY(co_await ns_per_op(
        repeat, 1, [&] [[clang::coro_wrapper]] () { return grow_tree(leaves); }));
    print("skynet", cores_text(cores), ns);
    co_return Result<void>{};
  });
}

}  // namespace bench
