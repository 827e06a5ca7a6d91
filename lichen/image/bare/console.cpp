#include "lichen/image/bare/console.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "lichen/base/format.hpp"
#include "lichen/driver/virtio/console.hpp"
#include "lichen/hal/hal.hpp"

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

}  // namespace

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

Task<Result<void>> listen_to_console(BareSystem& system) {
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

void keep_console(std::unique_ptr<VirtioDevice> device) noexcept {
  device->tell(nullptr);
  console().device = std::move(device);
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
