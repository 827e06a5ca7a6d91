#include "lichen/hal/bare/console.hpp"

#include <atomic>

#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::hal {

namespace {

constexpr std::uint32_t nobody = 0;
constinit std::atomic<std::uint32_t> writer{nobody};

}  // namespace

void write_console(std::string_view text) noexcept {
  const std::uint32_t self = this_core() + 1;
  // A handler writes into the middle of what it has interrupted.
  const bool nested = writer.load(std::memory_order_relaxed) == self;
  std::uint32_t expected = nobody;
  while (!nested && !writer.compare_exchange_weak(expected, self, std::memory_order_acquire)) {
    expected = nobody;
    pause();
  }
  for (const char character : text) {
    if (character == '\n') detail::put_character('\r');
    detail::put_character(character);
  }
  if (!nested) writer.store(nobody, std::memory_order_release);
}

void exit_machine(int status) noexcept { detail::end_machine(status); }

void panic(std::string_view message) noexcept {
  write_console("lichen: panic: ");
  write_console(message);
  write_console("\n");
  detail::end_machine(panic_status);
}

Result<void> random_bytes(std::span<std::byte> bytes) noexcept {
  return detail::fill_with_entropy(bytes);
}

}  // namespace lichen::hal
