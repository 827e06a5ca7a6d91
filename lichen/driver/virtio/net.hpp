// A virtio network card as io::NetDevice (virtio 1.2, 5.1).
//
// When the device breaks down, says so or lies, it is reset at once: what it had is dropped and
// counted, and the task that receives brings it up again. Meanwhile what is sent is dropped and
// counted, too: to the stack above it is a link on which frames get lost.
//
//             fault()                  receive()
//   up ------------------> stopped ----------------> up
//      its lies, needs_reset       reset, 3.1.1
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/net_receive.hpp"
#include "lichen/driver/virtio/net_send.hpp"
#include "lichen/driver/virtio/transport.hpp"
#include "lichen/io/net_device.hpp"

namespace lichen::driver::virtio {

// When the receiver stops asking for interrupts. A parameter of the machine, to be measured.
struct Polling {
  unsigned busy_after = 8;  // calls of receive() in a row that found frames without waiting
  unsigned looks = 16;      // then so many in vain, with others' turns in between, before it waits
};

struct NetOptions {
  bool offload = true;  // checksums and segmentation
  // Forms of the ring, if the device knows them.
  bool packed_ring = true;
  bool event_index = true;
  bool indirect_descriptors = true;
  std::uint16_t queue_size = 256;
  unsigned receive_buffers = 512;  // at most 65,536
  std::size_t buffer_size = 2048;  // of both directions
  unsigned assembled_frames = 8;   // see NetReceive
  std::uint16_t send_frames = 128;
  std::size_t mtu = 1500;  // where the device has none of its own
  Polling polling{};
};

struct NetCounters {
  ReceiveCounters receive;
  SendCounters send;
  std::uint64_t waits = 0;   // for frames, with interrupts on
  std::uint64_t looks = 0;   // in vain, under load
  std::uint64_t faults = 0;  // the device lied or broke down
  std::uint64_t starts = 0;
};

class NetCard final : public io::NetDevice {
 public:
  // Which interrupt is whose, if the device has vectors enough; else it has to have one line, or
  // all are of the same vector 0.
  static constexpr Vector config_vector = 0;
  static constexpr Vector receive_vector = 1;
  static constexpr Vector send_vector = 2;

  // For the calling core. Transport and memory MUST outlive it; buffers lent MUST be given back
  // before it ends. Errors: not_supported (no network card, or one without what we need: version 1,
  // an address), invalid_argument (options), no_memory, timed_out (it does not answer), io_failed.
  static Task<Result<std::unique_ptr<NetCard>>> open(Transport& transport, DeviceMemory& memory,
                                                     NetOptions options = {}) noexcept;
  ~NetCard() override;

  // In a handler, on any core: takes note. Then deliver() is to be called on the card's core.
  void interrupted(Vector vector) noexcept;
  void interrupted_by_line() noexcept;
  // Between two tasks on the card's core: wakes those who wait for what interrupts told. True if
  // there was anything.
  bool deliver() noexcept;

  Task<Result<std::size_t>> receive(std::span<io::ReceivedFrame> into) override;
  Task<Result<std::size_t>> send(std::span<const io::OutgoingFrame> frames) override;
  std::array<std::byte, 6> address() const noexcept override { return address_; }
  std::size_t mtu() const noexcept override { return mtu_; }
  io::NetFeatures features() const noexcept override { return offloads_; }

  [[nodiscard]] NetCounters counters() const noexcept;
  [[nodiscard]] Features agreed() const noexcept { return agreed_; }

 private:
  NetCard(Transport& transport, DeviceMemory& memory, const NetOptions& options,
          Features agreed) noexcept;
  Result<void> create_queues() noexcept;
  Result<void> read_configuration() noexcept;
  Result<void> enable() noexcept;
  Task<Result<void>> restart() noexcept;
  void fault() noexcept;
  void settle_lent() noexcept;

  Transport& transport_;
  DeviceMemory& memory_;
  const NetOptions options_;
  const Features agreed_;
  const io::NetFeatures offloads_;
  coro::Core& home_;
  std::array<std::byte, 6> address_{};
  std::size_t mtu_ = 0;
  std::unique_ptr<NetReceive> receive_;
  std::unique_ptr<NetSend> send_;
  std::atomic<std::uint8_t> told_{0};  // by interrupts
  bool up_ = false;
  bool receiving_ = false;
  bool sending_ = false;
  unsigned full_calls_ = 0;          // of receive(), in a row, that did not wait
  std::uint64_t restart_pause_ = 0;  // nanoseconds
  std::uint64_t waits_ = 0;
  std::uint64_t looks_ = 0;
  std::uint64_t faults_ = 0;
  std::uint64_t starts_ = 0;
};

}  // namespace lichen::driver::virtio
