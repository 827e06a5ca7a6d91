#include "lichen/image/run.hpp"

#include "lichen/driver/linux/host_system.hpp"

namespace lichen::image {

struct Host::Parts {
  std::unique_ptr<driver::HostSystem> system;
};

Host::Host(std::unique_ptr<Parts> parts) noexcept : parts_{std::move(parts)} {}
Host::Host(Host&&) noexcept = default;
Host& Host::operator=(Host&&) noexcept = default;
Host::~Host() = default;

Result<Host> Host::create() {
  auto parts = std::make_unique<Parts>();
  parts->system = TRY(driver::HostSystem::create());
  return Host{std::move(parts)};
}

io::System& Host::system() noexcept { return *parts_->system; }

Result<void> Host::run(Task<Result<void>> main, const RunOptions& options) {
  auto machine = TRY(sched::Machine::create(options));
  auto make_events = [this](unsigned core) { return parts_->system->make_event_source(core); };
  return machine->run(std::move(main), make_events);
}

}  // namespace lichen::image
