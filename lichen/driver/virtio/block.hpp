// A virtio block device as io::BlockDevice (virtio 1.2, 5.2), with a queue for each core as far as
// the device has them.
//
//             fault()                    serve()
//   up -------------------> down ------------------------> up
//      its lies, needs_reset      reset, 3.1.1; what was     | it is gone, or comes back as
//                                 asked for is repeated      v another one
//                                                          ended: everything fails
//
// Until the device has confirmed a reset it may use the memory of those who have asked it for
// something. So they wait, for ever if need be: a task that goes on would see its memory change.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/block_format.hpp"
#include "lichen/driver/virtio/block_queue.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/start.hpp"
#include "lichen/driver/virtio/transport.hpp"
#include "lichen/io/block_device.hpp"

namespace lichen::driver::virtio {

struct DiskOptions {
  // Whose queues there are to be, at most one each; queue i belongs to cores[i], and tasks of other
  // cores go to one of these. Empty: the calling core. With fewer vectors than one for the
  // configuration and one for each queue there is one queue only.
  std::span<coro::Core* const> cores{};
  InterruptRouter* router =
      nullptr;                  // brings queues' interrupts to their cores; null: they are there
  std::uint16_t requests = 64;  // with the device at a time, of each queue
  std::uint16_t segments = 16;  // of data in one request
  bool write_through = false;   // no volatile cache, where the device lets us choose
  // Forms of the ring, if the device knows them.
  bool packed_ring = true;
  bool event_index = true;
  bool indirect_descriptors = true;
};

struct DiskCounters {
  BlockCounters queues;  // of all
  std::uint64_t faults = 0;
  std::uint64_t starts = 0;
};

class Disk final : public io::BlockDevice {
 public:
  static constexpr Vector config_vector = 0;
  static constexpr std::size_t most_queues = 16;
  // Of queue i, where the device has vectors enough.
  static constexpr Vector queue_vector(std::size_t i) noexcept {
    return static_cast<Vector>(1 + i);
  }

  // The calling core takes the interrupt of the configuration. Transport and memory MUST outlive
  // it. Errors: not_supported (no block device, or one whose limits make no sense), not_found (it
  // has no queue), limit_reached (it has not the interrupts that it tells of), invalid_argument
  // (options), no_memory, timed_out (it does not answer), io_failed.
  static Task<Result<std::unique_ptr<Disk>>> open(Transport& transport, DeviceMemory& memory,
                                                  DiskOptions options = {}) noexcept;
  // No call may be in progress.
  ~Disk() override;

  // Brings the device up again when it has broken down, and takes note of its size when that
  // changes. MUST run as long as the disk is used. Ends with stopped, or when the device never
  // works again: closed (it is gone), not_supported (it is another one), io_failed.
  Task<Result<void>> serve() noexcept;

  // In a handler, on the core of that interrupt. Queues have nothing to be noted: it is enough that
  // the core looks for events.
  void interrupted(Vector vector) noexcept;
  void interrupted_by_line() noexcept;
  // When a core that has a queue looks for events; and before it sleeps, see BlockQueue.
  bool deliver() noexcept;
  bool prepare_sleep() noexcept;
  // Whether a core that has a queue would be interrupted only after prepare_sleep(), which may be
  // called beside a task that computes, too.
  [[nodiscard]] bool is_deaf() const noexcept;

  Task<Result<void>> read_pieces(std::uint64_t sector,
                                 std::span<const std::span<std::byte>> into) override;
  Task<Result<void>> write_pieces(std::uint64_t sector,
                                  std::span<const std::span<const std::byte>> from) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> discard(std::uint64_t sector, std::uint64_t count) override;
  Task<Result<void>> write_zeroes(std::uint64_t sector, std::uint64_t count, bool unmap) override;
  io::BlockInfo info() const noexcept override;

  // On any core.
  [[nodiscard]] DiskCounters counters() const noexcept;
  [[nodiscard]] BlockCounters counters(std::size_t queue) const noexcept {
    return queues_[queue]->counters();
  }
  [[nodiscard]] Features agreed() const noexcept { return agreed_; }
  [[nodiscard]] std::size_t queues() const noexcept { return queue_count_; }

 private:
  Disk(Transport& transport, DeviceMemory& memory, const DiskOptions& options,
       Features agreed) noexcept;
  Result<void> create_queues(const DiskOptions& options) noexcept;
  Task<Result<void>> enable() noexcept;
  Task<void> start_queues() noexcept;
  Task<Result<void>> restart() noexcept;
  Task<Result<void>> reset_and_agree() noexcept;
  Task<void> end(Error error) noexcept;
  void read_configuration() noexcept;
  void fault() noexcept;
  BlockQueue& queue_here() noexcept;
  Task<Result<void>> ask(BlockCall& call) noexcept;
  [[nodiscard]] std::span<const std::unique_ptr<BlockQueue>> all_queues() const noexcept {
    return std::span{queues_}.first(queue_count_);
  }
  [[nodiscard]] std::uint64_t first_of(std::uint64_t sector) const noexcept {
    return sector * (config_.block_size / virtio_sector);
  }

  Transport& transport_;
  DeviceMemory& memory_;
  const Features agreed_;
  const bool write_through_;
  coro::Core& home_;
  BlockConfig config_;  // as it was when the disk was opened
  std::array<std::unique_ptr<BlockQueue>, most_queues> queues_;
  std::size_t queue_count_ = 0;
  std::atomic<std::uint64_t> capacity_{0};  // sectors of 512 bytes
  coro::Event news_;
  std::atomic<bool> told_configuration_{false};  // by an interrupt
  bool look_at_configuration_ = false;
  std::atomic<bool> faulty_{false};
  std::atomic<bool> lost_{false};  // what had been written and not flushed, since the last flush
  RestartPause restart_pause_;
  std::uint64_t done_at_restart_ = 0;
  std::atomic<std::uint64_t> faults_{0};
  std::atomic<std::uint64_t> starts_{0};
};

}  // namespace lichen::driver::virtio
