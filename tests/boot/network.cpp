// An image on a network: sends back what comes to port 7 by TCP, on each core, and by UDP, until
// somebody comes to port 9. If it is told to it first goes to port 8 of 10.0.2.2 from each core.
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"
#include "lichen/sched/machine.hpp"

namespace {

using namespace lichen;

constexpr io::Address port(std::uint16_t number) { return io::Address::ipv4({}, number); }

Task<Result<void>> echo(std::unique_ptr<io::Stream> stream) {
  std::array<std::byte, 16'384> room;
  for (;;) {
    const std::size_t got = CO_TRY(co_await stream->read(room));
    if (got == 0) co_return co_await stream->shutdown(io::Direction::send);
    CO_TRY(co_await stream->write_all(std::span{room}.first(got)));
  }
}

// Each core has its connections.
Task<Result<void>> serve(io::Network& network, bool shared, Semaphore& listening) {
  const auto listener = CO_TRY(co_await network.listen(port(7), {.share_port = shared}));
  listening.release();
  Scope connections{OnError::keep_going};
  Result<void> outcome;
  while (outcome) {
    auto stream = co_await listener->accept();
    if (stream)
      connections.spawn(echo(std::move(*stream)), coro::this_core());
    else
      outcome = stream.error();
  }
  connections.request_stop();
  (co_await connections.join()).ignore();
  co_return outcome;
}

Task<Result<void>> answer(io::Datagram& socket) {
  std::array<std::byte, 2'048> room;
  for (;;) {
    const io::Received got = CO_TRY(co_await socket.receive(room));
    CO_TRY(co_await socket.send(std::span{room}.first(got.size), got.from));
  }
}

Task<Result<void>> wait_for_end(io::Network& network, bool shared, Semaphore& listening,
                                Event& asked) {
  const auto listener = CO_TRY(co_await network.listen(port(9), {.share_port = shared}));
  listening.release();
  const auto last = CO_TRY(co_await listener->accept());
  asked.set();
  co_return Result<void>{};
}

// One byte there and back, each time by a connection of its own.
Task<Result<void>> call(io::Network& network) {
  for (int i = 0; i < 20; ++i) {
    const auto stream = CO_TRY(co_await network.connect(io::Address::ipv4({10, 0, 2, 2}, 8)));
    std::array<std::byte, 1> byte{};
    CO_TRY(co_await stream->write_all(byte));
    if (CO_TRY(co_await stream->read(byte)) != 1) co_return Error::end_of_stream;
  }
  co_return Result<void>{};
}

bool calls = false;

Task<Result<void>> app(io::System& system) {
  log::info("the first task runs after {} us", hal::now_ns() / 1'000);
  io::Network& network = system.network();
  const auto socket = CO_TRY(co_await network.bind(port(7)));
  Scope servers{OnError::keep_going};
  auto& machine = sched::Machine::current();
  Semaphore listening{0};
  Event asked;
  Scope callers;
  for (unsigned i = 0; i < machine.cores(); ++i) {
    const bool shared = machine.cores() > 1;
    servers.spawn(serve(network, shared, listening), &machine.core(i));
    servers.spawn(wait_for_end(network, shared, listening, asked), &machine.core(i));
    if (calls) callers.spawn(call(network), &machine.core(i));
  }
  servers.spawn(answer(*socket));
  for (unsigned i = 0; i < 2 * machine.cores(); ++i) CO_TRY(co_await listening.acquire());
  const Result<void> called = co_await callers.join();
  if (!called) log::error("a call: {}", called.error());
  log::info("ready");
  const Result<void> last = co_await asked.wait();
  servers.request_stop();
  (co_await servers.join()).ignore();
  if (last) log::info("asked to end");
  co_return called ? last : called;
}

}  // namespace

// Once, and once more for each word but "call": meanwhile the devices are stopped and started.
int main(int count, char** words) {
  Result<void> outcome;
  if (count > 1 && std::string_view{words[1]} == "call") {
    calls = true;
    --count;
  }
  for (int i = 0; outcome && i < count; ++i)
    outcome = run(&app, {.cores = hal::core_count_available()});
  if (!outcome) log::error("ended: {}", outcome.error());
  return outcome ? 44 : 1;
}
