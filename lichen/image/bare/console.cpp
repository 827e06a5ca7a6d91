// A virtio console as the machine's: it shows what is written, and asks to stop when Ctrl-C is
// typed.
#include "lichen/driver/virtio/console.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/bare/devices.hpp"
#include "lichen/image/bare/system.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::image {

namespace {

namespace virtio = driver::virtio;

// Its last words are those of the machine, so it outlives whoever runs on it.
struct Console {
  std::unique_ptr<VirtioDevice> device;
  PageMemory memory;
  std::unique_ptr<virtio::ConsoleDevice> driver;
  std::optional<Interrupts<virtio::ConsoleDevice>> interrupts;
  std::size_t lost = 0;

  [[nodiscard]] virtio::ConsolePort& port() const noexcept { return *driver->port(0); }
};

Console& console() noexcept {
  static constinit Console the_console;
  return the_console;
}

// Like write_now(), of a terminal's lines.
void show(void*, std::string_view text) noexcept {
  Console& shown = console();
  virtio::ConsolePort& port = shown.port();
  std::array<char, 512> room;
  if (shown.lost != 0) {
    const std::string_view note =
        base::format_to(room, "({} characters are lost)\r\n", shown.lost).text;
    if (port.write_now(note) == note.size()) shown.lost = 0;
  }
  while (!text.empty()) {
    std::size_t size = 0;
    std::size_t taken = 0;
    for (; taken < text.size() && size + 2 <= room.size(); ++taken) {
      if (text[taken] == '\n') room[size++] = '\r';
      room[size++] = text[taken];
    }
    shown.lost += size - port.write_now({room.data(), size});
    text.remove_prefix(taken);
  }
}

void flush(void*) noexcept { console().port().flush_now(); }

// From now on it shows what is written, and what was before. Errors: those of
// ConsoleDevice::open().
Task<Result<void>> open_console(VirtioDevice& device) {
  Console& opened = console();
  // One port, so nobody has to be there before it takes what is written.
  opened.driver = CO_TRY(co_await virtio::ConsoleDevice::open(device.transport(), opened.memory,
                                                              {.several_ports = false}));
  opened.interrupts.emplace(*opened.driver);
  device.tell(&*opened.interrupts);
  hal::set_console_view({.show = &show, .flush = &flush});
  co_return Result<void>{};
}

// Reads what is typed, until it is asked to stop.
Task<Result<void>> listen(BareSystem& system) {
  constexpr std::byte control_c{3};
  std::array<std::byte, 64> typed;
  for (;;) {
    const std::size_t count = CO_TRY(co_await console().port().read(typed));
    if (count == 0) co_return Result<void>{};
    if (std::ranges::find(std::span{typed}.first(count), control_c) !=
        std::span{typed}.first(count).end())
      system.ask_to_stop();
  }
}

}  // namespace

Task<Result<void>> run_with_console(BareSystem& system, Devices& devices, Task<Result<void>> main) {
  VirtioDevice* const device = devices.first(virtio::DeviceKind::console);
  if (!device) co_return co_await std::move(main);
  const Result<void> opened = co_await open_console(*device);
  if (!opened) {
    base::log::warning("the virtio console cannot be used: {}", opened.error());
    co_return co_await std::move(main);
  }
  Scope scope{OnError::keep_going};
  scope.spawn(listen(system));
  const Result<void> outcome = co_await std::move(main);
  scope.request_stop();
  (co_await scope.join()).ignore();
  // It goes on to show what is written when nobody takes its interrupts any more.
  device->tell(nullptr);
  console().device = devices.release(*device);
  co_return outcome;
}

void close_console() noexcept {
  Console& closed = console();
  if (!closed.driver) return;
  hal::set_console_view({});
  closed.port().flush_now();
  closed.interrupts.reset();
  closed.driver.reset();
  closed.device.reset();
}

}  // namespace lichen::image

#pragma clang attribute pop
