#include "lichen/hal/bare/console.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::hal {

namespace {

constexpr std::uint32_t nobody = 0;
constinit std::atomic<std::uint32_t> writer{nobody};
constinit ConsoleView view{};

// What was written while there was no view.
struct Earlier {
  std::array<char, 4096> text{};
  std::size_t size = 0;
};
constinit Earlier earlier;

void keep(std::string_view text) noexcept {
  const std::size_t size = std::min(text.size(), earlier.text.size() - earlier.size);
  std::copy_n(text.data(), size, earlier.text.data() + earlier.size);
  earlier.size += size;
}

// For one core at a time.
class WriterGuard {
 public:
  WriterGuard() noexcept {
    const std::uint32_t self = this_core() + 1;
    // A handler writes into the middle of what it has interrupted.
    nested_ = writer.load(std::memory_order_relaxed) == self;
    std::uint32_t expected = nobody;
    while (!nested_ && !writer.compare_exchange_weak(expected, self, std::memory_order_acquire)) {
      expected = nobody;
      pause();
    }
  }
  WriterGuard(const WriterGuard&) = delete;
  WriterGuard& operator=(const WriterGuard&) = delete;
  ~WriterGuard() {
    if (!nested_) writer.store(nobody, std::memory_order_release);
  }

 private:
  bool nested_ = false;
};

}  // namespace

void write_console(std::string_view text) noexcept {
  const WriterGuard guard;
  for (const char character : text) {
    if (character == '\n') detail::put_character('\r');
    detail::put_character(character);
  }
  if (view.show)
    view.show(view.context, text);
  else
    keep(text);
}

void set_console_view(const ConsoleView& wanted) noexcept {
  const WriterGuard guard;
  view = wanted;
  if (!view.show) return;
  view.show(view.context, {earlier.text.data(), earlier.size});
  earlier.size = 0;
}

void exit_machine(int status) noexcept {
  if (view.flush) view.flush(view.context);
  detail::end_machine(status);
}

namespace {

// Who reads; only changed while nobody is attached, or by the one who is.
struct Reader {
  std::atomic<bool> taken{false};
  DeviceInterrupt handler = nullptr;
  void* context = nullptr;
};
constinit Reader reader;

}  // namespace

Result<void> attach_console(CoreId core, DeviceInterrupt handler, void* context) noexcept {
  const std::uint32_t line = TRY(detail::console_line());
  if (reader.taken.exchange(true)) return Error::busy;
  reader.handler = handler;
  reader.context = context;
  const Result<void> attached = attach_line(line, core, handler, context);
  if (attached)
    detail::tell_of_input(true);
  else
    reader.taken.store(false);
  return attached;
}

void detach_console() noexcept {
  if (!reader.taken.load()) return;
  detail::tell_of_input(false);
  detach_interrupt(reader.handler, reader.context);
  reader.taken.store(false);
}

std::size_t read_console(std::span<char> into) noexcept {
  std::size_t count = 0;
  while (count < into.size()) {
    const auto character = detail::take_character();
    if (!character) break;
    into[count++] = *character;
  }
  return count;
}

}  // namespace lichen::hal
