// An app on a machine whose console is a virtio device: it says so, and waits until somebody at it
// asks it to stop.
#include <string_view>

#include "lichen/base/log.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"

namespace {

using namespace lichen;
using namespace std::chrono_literals;

bool wants_panic = false;

Task<Result<void>> app(io::System& system) {
  log::info("ready");
  const io::Request request = CO_TRY(co_await system.next_request());
  log::info("asked to {}", request == io::Request::stop ? "stop" : "do something else");
  if (wants_panic) hal::panic("as it was asked to");
  // More than the device has room for at a time.
  for (int i = 1; i <= 200; ++i) log::info("line {} of 200, which is as long as lines are", i);
  co_return Result<void>{};
}

Task<Result<void>> once_more(io::System&) {
  log::info("again");
  co_return Result<void>{};
}

}  // namespace

// Twice: meanwhile the devices are stopped and started.
int main(int count, char** words) {
  wants_panic = count > 1 && std::string_view{words[1]} == "panic";
  Result<void> outcome = run(&app, {.cores = 1});
  if (outcome) outcome = run(&once_more, {.cores = 1});
  hal::write_console("ended\n");
  return outcome ? 46 : 1;
}
