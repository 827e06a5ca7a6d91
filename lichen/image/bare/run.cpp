// lichen::run on a bare machine.
#include "lichen/image/run.hpp"

#include <array>
#include <string_view>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/bare/outside.hpp"
#include "lichen/image/bare/system.hpp"
#include "lichen/sched/hal_events.hpp"

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::image {

namespace {

// One write for a line, so that lines of several cores do not mix.
void write_log_line(base::log::Level level, std::string_view line) noexcept {
  std::array<char, base::log::max_line + 32> room;
  hal::write_console(base::format_to(room, "{}: {}\n", base::log::name(level), line).text);
}

Task<Result<void>> run_in(BareSystem& system, Task<Result<void>> main) {
  Result<void> outcome = co_await system.start();
  if (outcome) outcome = co_await std::move(main);
  system.stop();
  co_return outcome;
}

}  // namespace

struct Host::Parts {
  BareSystem system;
};

Host::Host(std::unique_ptr<Parts> parts) noexcept : parts_{std::move(parts)} {}
Host::Host(Host&&) noexcept = default;
Host& Host::operator=(Host&&) noexcept = default;
Host::~Host() = default;

Result<Host> Host::create() {
  base::log::set_default_sink(&write_log_line);
  return Host{std::make_unique<Parts>()};
}

io::System& Host::system() noexcept { return parts_->system; }

Result<void> Host::run(Task<Result<void>> main, const RunOptions& options) {
  auto machine = TRY(sched::Machine::create(options));
  BareSystem& system = parts_->system;
  Task<Result<void>> program = run_in(system, std::move(main));
  DeviceListeners listeners{};
  auto make_events = [&](unsigned core) -> Result<std::unique_ptr<sched::EventSource>> {
    if (core == 0 || &run_with_devices)
      return std::make_unique<DeviceEvents>(system, core, listeners[core]);
    return std::make_unique<sched::HalEvents>(core);
  };
  if (&run_with_devices) program = run_with_devices(system, listeners, std::move(program));
  return machine->run(std::move(program), make_events);
}

}  // namespace lichen::image

#pragma clang attribute pop
