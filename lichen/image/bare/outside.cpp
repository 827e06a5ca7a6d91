// What an image with devices does around its program: each part that it contains wraps the next.
#include "lichen/image/bare/outside.hpp"

#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/image/bare/devices.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::image {

namespace {

Task<Result<void>> keep_outcome(Task<Result<void>> main, Result<void>& outcome) {
  outcome = co_await std::move(main);
  co_return Result<void>{};
}

// Not bound to the core of the devices.
Task<Result<void>> run_program(Task<Result<void>> main) {
  Result<void> outcome;
  Scope scope;
  if (!scope.spawn(keep_outcome(std::move(main), outcome))) outcome = Error::no_memory;
  CO_TRY(co_await scope.join());
  co_return outcome;
}

}  // namespace

Task<Result<void>> run_with_devices(BareSystem& system, DeviceListeners& listeners,
                                    Task<Result<void>> main) {
  const io::Stay stay = co_await io::StayOn{sched::Machine::current().core(0)};
  if (&close_console) close_console();
  Devices devices;
  listeners[0] = &devices;
  main = run_program(std::move(main));
  if (&run_with_disks)
    main = run_with_disks(system, devices, listeners, std::move(main));
  else if (devices.first(driver::virtio::DeviceKind::block))
    base::log::warning("there is a disk, and in this image no driver for it (DISKS)");
  if (&run_with_network) main = run_with_network(system, devices, listeners, std::move(main));
  if (&run_with_balloon) main = run_with_balloon(devices, std::move(main));
  if (&run_with_console) main = run_with_console(system, devices, std::move(main));
  const Result<void> outcome = co_await std::move(main);
  listeners[0] = nullptr;
  co_return outcome;
}

}  // namespace lichen::image
