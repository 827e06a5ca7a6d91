// The virtio disks of a bare machine, with a queue for each core as far as they have them.

#include <algorithm>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/driver/virtio/block.hpp"
#include "lichen/image/bare/devices.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::image {

namespace {

namespace virtio = driver::virtio;

// What it does on core 0, which takes the interrupts that belong to no queue.
class BareDisk {
 public:
  explicit BareDisk(VirtioDevice& device) noexcept : device_{device} {}
  BareDisk(const BareDisk&) = delete;
  BareDisk& operator=(const BareDisk&) = delete;

  Task<Result<void>> open(PageMemory& memory, std::span<coro::Core* const> cores) {
    disk_ = CO_TRY(co_await virtio::Disk::open(device_.transport(), memory,
                                               {.cores = cores, .router = &device_}));
    interrupts_.emplace(*disk_);
    device_.tell(&*interrupts_);
    co_return Result<void>{};
  }
  // Handlers of other cores may still be about to tell it something; none begins to.
  void stop() noexcept {
    device_.tell(nullptr);
    device_.transport().set_status(0);
  }
  [[nodiscard]] virtio::Disk& disk() noexcept { return *disk_; }
  [[nodiscard]] VirtioDevice& device() noexcept { return device_; }

 private:
  VirtioDevice& device_;
  std::unique_ptr<virtio::Disk> disk_;
  std::optional<Interrupts<virtio::Disk>> interrupts_;
};

// The queues of another core, beside what that has to ask already.
class DisksOfCore final : public DeviceListener {
 public:
  DisksOfCore(std::span<const std::unique_ptr<BareDisk>> disks, DeviceListener* other) noexcept
      : disks_{disks}, other_{other} {}
  bool deliver() noexcept override {
    bool any = other_ && other_->deliver();
    for (const auto& disk : disks_) any |= disk->disk().deliver();
    return any;
  }
  bool prepare_sleep() noexcept override {
    bool ready = !other_ || other_->prepare_sleep();
    for (const auto& disk : disks_) ready &= disk->disk().prepare_sleep();
    return ready;
  }
  bool is_deaf() const noexcept override {
    return (other_ && other_->is_deaf()) ||
           std::ranges::any_of(disks_, [](const auto& disk) { return disk->disk().is_deaf(); });
  }
  [[nodiscard]] DeviceListener* other() const noexcept { return other_; }

 private:
  std::span<const std::unique_ptr<BareDisk>> disks_;
  DeviceListener* other_;
};

class BareDisks {
 public:
  explicit BareDisks(DeviceListeners& listeners) noexcept : listeners_{listeners} {}

  Task<Result<void>> open(std::span<const std::unique_ptr<VirtioDevice>> found) {
    auto& machine = sched::Machine::current();
    std::vector<coro::Core*> cores;
    for (unsigned i = 0; i < machine.cores() && i < virtio::Disk::most_queues; ++i)
      cores.push_back(&machine.core(i));
    std::size_t queues = 0;
    for (const auto& device : found) {
      if (device->transport().kind() != virtio::DeviceKind::block) continue;
      auto disk = std::make_unique<BareDisk>(*device);
      if (const Result<void> opened = co_await disk->open(memory_, cores); !opened) {
        base::log::error("a disk cannot be used: {}", opened.error());
        continue;
      }
      const io::BlockInfo info = disk->disk().info();
      base::log::info("disk {}: {} sectors of {} bytes; queues: {}", disks_.size(), info.sectors,
                      info.sector_size, disk->disk().queues());
      queues = std::max(queues, disk->disk().queues());
      devices_.push_back(&disk->disk());
      disks_.push_back(std::move(disk));
    }
    // From now on the list of disks rests.
    for (unsigned i = 1; i < queues; ++i) {
      const io::Stay stay = co_await io::StayOn{machine.core(i)};
      others_.push_back(std::make_unique<DisksOfCore>(disks_, listeners_[i]));
      listeners_[i] = others_.back().get();
    }
    const io::Stay back = co_await io::StayOn{machine.core(0)};
    co_return Result<void>{};
  }

  [[nodiscard]] std::span<io::BlockDevice* const> all() const noexcept { return devices_; }

  // MUST run as long as they are used; until it is stopped.
  Task<Result<void>> serve() {
    Scope scope{OnError::keep_going};
    for (const auto& disk : disks_) scope.spawn(disk->disk().serve());
    co_return co_await scope.join();
  }

  // Nobody uses them any more. MUST be called before this goes.
  Task<Result<void>> close() {
    auto& machine = sched::Machine::current();
    for (unsigned i = 1; i <= others_.size(); ++i) {
      const io::Stay stay = co_await io::StayOn{machine.core(i)};
      listeners_[i] = others_[i - 1]->other();
    }
    {
      const io::Stay stay = co_await io::StayOn{machine.core(0)};
      for (std::size_t i = 0; i < disks_.size(); ++i) {
        tell(i);
        disks_[i]->stop();
      }
    }
    for (unsigned i = 1; i <= others_.size(); ++i) {
      const io::Stay stay = co_await io::StayOn{machine.core(i)};
      for (const auto& disk : disks_) disk->device().take_no_more_here();
    }
    const io::Stay back = co_await io::StayOn{machine.core(0)};
    devices_.clear();
    disks_.clear();
    co_return Result<void>{};
  }

 private:
  void tell(std::size_t i) const noexcept {
    const virtio::Disk& disk = disks_[i]->disk();
    const virtio::DiskCounters all = disk.counters();
    base::log::info(
        "disk {}: {} requests in {} steps by {} queues, {} of these by the last, {} failed, {} "
        "waits, "
        "{} resets",
        i, all.queues.requests, all.queues.shown, disk.queues(),
        disk.counters(disk.queues() - 1).requests, all.queues.failed, all.queues.armed, all.faults);
  }

  DeviceListeners& listeners_;
  PageMemory memory_;
  std::vector<std::unique_ptr<BareDisk>> disks_;
  std::vector<std::unique_ptr<DisksOfCore>> others_;  // of core 1 and so on
  std::vector<io::BlockDevice*> devices_;
};

}  // namespace

Task<Result<void>> run_with_disks(BareSystem& system, Devices& devices, DeviceListeners& listeners,
                                  Task<Result<void>> main) {
  BareDisks disks{listeners};
  Result<void> outcome = co_await disks.open(devices.all());
  if (outcome) {
    Scope scope{OnError::keep_going};
    scope.spawn(disks.serve());
    system.use_disks(disks.all());
    outcome = co_await std::move(main);
    system.use_disks({});
    scope.request_stop();
    (co_await scope.join()).ignore();
  }
  (co_await disks.close()).ignore();
  co_return outcome;
}

}  // namespace lichen::image
