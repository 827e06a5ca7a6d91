// One pair of queues of a network card: an io::NetDevice of the core that it belongs to. All pairs
// share the card's address, and its fate: when one finds the device lying or silent, all stop, and
// start again together (net.hpp).
//
// Sent frames that nothing becomes of are noticed by a timer (a watchdog): if the device has
// completed none of them for stall_time, it is taken to have broken down without saying so.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/coro/timer_wheel.hpp"
#include "lichen/driver/virtio/net_receive.hpp"
#include "lichen/driver/virtio/net_send.hpp"
#include "lichen/io/net_device.hpp"

namespace lichen::driver::virtio {

class NetCard;

// When the receiver stops asking for interrupts. A parameter of the machine; docs/benchmarks.md has
// what was measured.
struct Polling {
  unsigned busy_after = 8;  // calls of receive() in a row that found frames without waiting
  unsigned looks = 16;      // then so many in vain, with others' turns in between, before it waits
};

struct PairCounters {
  ReceiveCounters receive;
  SendCounters send;
  std::uint64_t waits = 0;   // for frames, with interrupts on
  std::uint64_t looks = 0;   // in vain, under load
  std::uint64_t stalls = 0;  // the device sent nothing any more, and did not say so
};

class NetPair final : public io::NetDevice {
 public:
  // A device that is late is no device that has stopped: twice that long nothing happens.
  static constexpr std::chrono::nanoseconds stall_time = std::chrono::milliseconds{2'500};

  NetPair(NetCard& card, unsigned index, coro::Core& home, std::unique_ptr<NetReceive> receive,
          std::unique_ptr<NetSend> send) noexcept;
  // On its core, or when NetCard::close() has ended.
  ~NetPair() override;

  Task<Result<std::size_t>> receive(std::span<io::ReceivedFrame> into) override;
  Task<Result<std::size_t>> send(std::span<const io::OutgoingFrame> frames) override;
  Task<Result<io::LinkState>> link_changed(io::LinkState seen) override;
  bool is_short_of_buffers() noexcept override { return receive_->is_short(); }
  std::array<std::byte, 6> address() const noexcept override;
  std::size_t mtu() const noexcept override;
  io::NetFeatures features() const noexcept override;
  const io::Steering* steering() const noexcept override;

  [[nodiscard]] coro::Core& home() const noexcept { return home_; }
  // On its core.
  [[nodiscard]] PairCounters counters() const noexcept;

  // What interrupts told, noted on any core; then deliver() is to be called on the pair's.
  [[nodiscard]] bool has_news() const noexcept {
    return told_.load(std::memory_order_relaxed) != 0;
  }
  // Between two tasks: wakes those who wait for it. True if there was anything.
  bool deliver() noexcept;
  // Before its core sleeps: false if it has to deliver once more first. QEMU before 8.1 leaves out
  // a guest's memory barriers on a machine with one processor: the device may not have seen yet
  // that an interrupt is wanted, when we already looked for the last time.
  bool prepare_sleep() noexcept;

 private:
  friend class NetCard;
  static constexpr std::uint8_t told_receive = 1;
  static constexpr std::uint8_t told_send = 2;

  // In a handler, on any core.
  void note(std::uint8_t told) noexcept { told_.fetch_or(told, std::memory_order_release); }
  Result<void> enable() noexcept;
  void start() noexcept;
  // The device has been reset.
  void stop() noexcept;
  void stop_watching() noexcept;
  // Whether the device is there for us; lets go of what it had if not.
  bool is_up() noexcept;
  void fault() noexcept;
  Task<Result<void>> come_up() noexcept;
  void settle_lent() noexcept;
  void watch() noexcept;
  void look_for_stall() noexcept;

  NetCard& card_;
  const unsigned index_;
  coro::Core& home_;
  const std::unique_ptr<NetReceive> receive_;
  const std::unique_ptr<NetSend> send_;
  bool up_ = false;
  bool receiving_ = false;
  bool sending_ = false;
  bool watching_ = false;
  unsigned full_calls_ = 0;     // of receive(), in a row, that did not wait
  std::uint64_t returned_ = 0;  // frames, when the watchdog looked last
  coro::Timer watchdog_;
  std::uint64_t waits_ = 0;
  std::uint64_t looks_ = 0;
  std::uint64_t stalls_ = 0;
  alignas(64) std::atomic<std::uint8_t> told_{0};
};

}  // namespace lichen::driver::virtio
