#include "lichen/image/bare/requests.hpp"

#include <array>
#include <string_view>

#include "lichen/base/log.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::image {

namespace {

constexpr hal::CoreId own_core = 0;

}  // namespace

ConsoleRequests::~ConsoleRequests() {
  if (attached_) hal::detach_console();
}

// In a handler.
void ConsoleRequests::take(void* requests) noexcept {
  auto& self = *static_cast<ConsoleRequests*>(requests);
  constexpr char control_c = 3;
  std::array<char, 16> typed;
  while (const std::size_t count = hal::read_console(typed)) {
    if (!std::string_view{typed.data(), count}.contains(control_c)) continue;
    self.stop_wanted_.store(true);
    self.told_.store(true);
  }
}

void ConsoleRequests::listen() noexcept {
  if (listening_.exchange(true)) return;
  const Result<void> attached = hal::attach_console(own_core, &take, this);
  attached_ = attached.has_value();
  if (!attached && !attached.failed_with(Error::not_supported))
    base::log::warning("nobody can ask by the console to stop: {}", attached.error());
}

Task<Result<io::Request>> ConsoleRequests::next() {
  listen();
  for (;;) {
    news_.reset();
    if (stop_wanted_.exchange(false)) co_return io::Request::stop;
    CO_TRY(co_await news_.wait());
  }
}

void ConsoleRequests::ask_to_stop() noexcept {
  stop_wanted_.store(true);
  news_.set();
}

bool ConsoleRequests::deliver() noexcept {
  if (!told_.load(std::memory_order_relaxed)) return false;
  told_.store(false);
  news_.set();
  return true;
}

}  // namespace lichen::image
