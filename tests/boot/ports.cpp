// A virtio console with several ports, of which one has a name: what comes there is sent back,
// until the other end is closed.
#include <array>
#include <span>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/driver/virtio/console.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/bare/devices.hpp"
#include "lichen/image/run.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/sched/machine.hpp"

namespace {

using namespace lichen;
namespace virtio = driver::virtio;

Task<Result<void>> echo(virtio::ConsoleDevice& console) {
  virtio::ConsolePort& port = *CO_TRY(co_await console.find("org.lichen.echo"));
  log::info("ready");
  CO_TRY(co_await port.opened());
  std::array<std::byte, 3'000> room;
  std::size_t all = 0;
  while (const std::size_t got = CO_TRY(co_await port.read(room))) {
    CO_TRY(co_await port.write_all(std::span{room}.first(got)));
    all += got;
  }
  log::info("sent back {} bytes; {} messages were bad", all, console.bad_messages());
  co_return Result<void>{};
}

Task<Result<void>> app(io::System&) { co_return Result<void>{}; }

}  // namespace

// What images with devices have of their own.
Task<Result<void>> lichen::image::run_with_devices(BareSystem&, DeviceListeners& listeners,
                                                   Task<Result<void>> main) {
  const io::Stay stay = co_await io::StayOn{sched::Machine::current().core(0)};
  Devices devices;
  PageMemory memory;
  listeners[0] = &devices;
  Result<void> outcome = Error::not_found;
  if (VirtioDevice* const device = devices.first(virtio::DeviceKind::console)) {
    const auto console = CO_TRY(co_await virtio::ConsoleDevice::open(device->transport(), memory));
    Interrupts<virtio::ConsoleDevice> interrupts{*console};
    device->tell(&interrupts);
    outcome = co_await echo(*console);
    device->tell(nullptr);
  }
  listeners[0] = nullptr;
  if (outcome) outcome = co_await std::move(main);
  co_return outcome;
}

int main() {
  const Result<void> outcome = run(&app, {.cores = 1});
  if (!outcome) log::error("ended: {}", outcome.error());
  return outcome ? 47 : 1;
}
