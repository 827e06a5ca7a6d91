// An image on a network: echoes what comes to port 7 until somebody asks it to end at port 9.
#include <array>
#include <memory>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"

namespace {

using namespace lichen;

Task<Result<void>> echo(std::unique_ptr<io::Stream> stream) {
  std::array<std::byte, 16'384> room;
  for (;;) {
    const std::size_t got = CO_TRY(co_await stream->read(room));
    if (got == 0) co_return co_await stream->shutdown(io::Direction::send);
    CO_TRY(co_await stream->write_all(std::span{room}.first(got)));
  }
}

Task<Result<void>> serve(io::Network& network) {
  const auto listener = CO_TRY(co_await network.listen(io::Address::ipv4({0, 0, 0, 0}, 7)));
  Scope connections{OnError::keep_going};
  for (;;) {
    auto stream = co_await listener->accept();
    if (!stream) break;
    connections.spawn(echo(*std::move(stream)));
  }
  connections.request_stop();
  co_return co_await connections.join();
}

Task<Result<void>> app(io::System& system) {
  log::info("the first task runs after {} us", hal::now_ns() / 1'000);
  io::Network& network = system.network();
  const auto end = CO_TRY(co_await network.listen(io::Address::ipv4({0, 0, 0, 0}, 9)));
  Scope scope{OnError::keep_going};
  scope.spawn(serve(network));
  log::info("ready");
  const auto last = CO_TRY(co_await end->accept());
  log::info("asked to end");
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}

}  // namespace

int main() {
  const Result<void> outcome = run(&app, {.cores = hal::core_count_available()});
  if (!outcome) log::error("ended: {}", outcome.error());
  return outcome ? 44 : 1;
}
