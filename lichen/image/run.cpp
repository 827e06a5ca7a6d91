#include "lichen/image/run.hpp"

#include <array>
#include <string_view>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/driver/linux/host_system.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::image {

namespace {

// One write for a line, so that lines of several cores do not mix.
void write_log_line(base::log::Level level, std::string_view line) noexcept {
  std::array<char, base::log::max_line + 32> room;
  hal::write_console(base::format_to(room, "{}: {}\n", base::log::name(level), line).text);
}

}  // namespace

struct Host::Parts {
  std::unique_ptr<driver::HostSystem> system;
};

Host::Host(std::unique_ptr<Parts> parts) noexcept : parts_{std::move(parts)} {}
Host::Host(Host&&) noexcept = default;
Host& Host::operator=(Host&&) noexcept = default;
Host::~Host() = default;

Result<Host> Host::create() {
  base::log::set_default_sink(&write_log_line);
  auto parts = std::make_unique<Parts>();
  parts->system = TRY(driver::HostSystem::create());
  return Host{std::move(parts)};
}

io::System& Host::system() noexcept { return *parts_->system; }
driver::HostSystem& Host::linux_system() noexcept { return *parts_->system; }

Result<void> Host::run(Task<Result<void>> main, const RunOptions& options) {
  auto machine = TRY(sched::Machine::create(options));
  auto make_events = [this](unsigned core) { return parts_->system->make_event_source(core); };
  return machine->run(std::move(main), make_events);
}

}  // namespace lichen::image
