// channel: round trips on one core, streams on one core and across two.
#include <array>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/scope.hpp"
#include "measure.hpp"

namespace bench {

namespace {

using Numbers = Channel<std::uint64_t>;

Task<> answer(Numbers& ping, Numbers& pong) {
  while (auto value = co_await ping.receive())
    if (!co_await pong.send(*value + 1)) co_return;
}

Task<Result<void>> ask(Numbers& ping, Numbers& pong, std::uint64_t messages) {
  for (std::uint64_t i = 0; i < messages; ++i) {
    CO_TRY(co_await ping.send(i));
    if (CO_TRY(co_await pong.receive()) != i + 1) co_return Error::internal;
  }
  ping.close();
  co_return Result<void>{};
}

Task<Result<void>> ping_pong(std::uint64_t messages, std::size_t capacity) {
  Numbers ping{capacity};
  Numbers pong{capacity};
  Scope scope;
  scope.spawn(answer(ping, pong));
  scope.spawn(ask(ping, pong, messages));
  co_return co_await scope.join();
}

Task<Result<void>> produce(Numbers& numbers, std::uint64_t messages) {
  for (std::uint64_t i = 0; i < messages; ++i) CO_TRY(co_await numbers.send(i));
  numbers.close();
  co_return Result<void>{};
}

Task<Result<void>> consume(Numbers& numbers, std::uint64_t messages) {
  std::uint64_t sum = 0;
  while (auto value = co_await numbers.receive()) sum += *value;
  if (sum != messages * (messages - 1) / 2) co_return Error::internal;
  co_return Result<void>{};
}

constexpr std::size_t batch_size = 64;

Task<Result<void>> produce_batches(Numbers& numbers, std::uint64_t messages) {
  std::array<std::uint64_t, batch_size> batch;
  for (std::uint64_t i = 0; i < messages;) {
    std::size_t n = 0;
    while (n < batch.size() && i < messages) batch[n++] = i++;
    CO_TRY(co_await numbers.send_all(std::span{batch}.first(n)));
  }
  numbers.close();
  co_return Result<void>{};
}

Task<Result<void>> consume_batches(Numbers& numbers, std::uint64_t messages) {
  std::array<std::uint64_t, batch_size> batch;
  std::uint64_t sum = 0;
  while (auto n = co_await numbers.receive_some(batch))
    for (std::size_t i = 0; i < *n; ++i) sum += batch[i];
  if (sum != messages * (messages - 1) / 2) co_return Error::internal;
  co_return Result<void>{};
}

// Producer on the first core, consumer on the last.
Task<Result<void>> stream(std::uint64_t messages, std::size_t capacity, bool batched) {
  Numbers numbers{capacity};
  auto& machine = sched::Machine::current();
  coro::Core* from = &machine.core(0);
  coro::Core* to = &machine.core(machine.cores() - 1);
  Scope scope;
  scope.spawn(batched ? consume_batches(numbers, messages) : consume(numbers, messages), to);
  scope.spawn(batched ? produce_batches(numbers, messages) : produce(numbers, messages), from);
  co_return co_await scope.join();
}

}  // namespace

void channel(const Args& args) {
  const std::uint64_t messages = args.number("messages", 1'000'000);
  const std::uint64_t capacity = args.number("capacity", 1);
  const std::uint64_t repeat = args.number("repeat", 5);
  const auto cores = static_cast<unsigned>(args.number("workers", 1));
  const std::string kind = args.text("kind", "pingpong");
  if (kind != "pingpong" && kind != "stream" && kind != "batch") {
    std::fprintf(stderr, "bench_core: --kind %s: pingpong, stream or batch\n", kind.c_str());
    std::exit(2);
  }
  on_machine(cores, [&]() -> Task<Result<void>> {
    const double ns = CO_TRY(
        co_await ns_per_op(repeat, static_cast<double>(messages), [&]() -> Task<Result<void>> {
          if (kind == "pingpong") co_return co_await ping_pong(messages, capacity);
          co_return co_await stream(messages, capacity, kind == "batch");
        }));
    print("channel",
          std::to_string(cores) + (cores == 1 ? " core, " : " cores, ") + kind + ", capacity " +
              std::to_string(capacity),
          ns);
    co_return Result<void>{};
  });
}

}  // namespace bench
