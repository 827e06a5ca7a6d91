// TransmitQueue: what the stack sends, until the device has taken it. The stack never waits; a task
// hands over what has come together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/io/net_device.hpp"
#include "lichen/net/inet/loan_book.hpp"
#include "lichen/net/ip/frame.hpp"

namespace lichen::net::inet {

class TransmitQueue final : public ip::FrameOutput {
 public:
  static constexpr std::size_t slots = 256;

  // All MUST outlive it.
  TransmitQueue(io::NetDevice& device, coro::Core& home, LoanBook& loans) noexcept
      : device_{device}, home_{home}, loans_{loans} {}

  // Frames are copied, but the payload of segments that the device is to cut, which is borrowed.
  bool transmit(const ip::Frame& frame) noexcept override;
  // Who is told that there is none is one whom transmit() has refused.
  [[nodiscard]] bool has_room() noexcept {
    refused_ |= count_ == slots;
    return count_ < slots;
  }

  // Hands over frames until it is stopped; calls has_room() when there is room after there was
  // none.
  template <class HasRoom>
  Task<Result<void>> run(HasRoom has_room) {
    for (;;) {
      while (count_ == 0) CO_TRY(co_await news_.wait(home_));
      CO_TRY(co_await send_some());
      if (refused_ && count_ <= slots / 2) {
        refused_ = false;
        has_room();
      }
    }
  }

  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
  // Frames that the device did not take.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  static constexpr std::size_t slot_size = 2'048;
  struct Slot {
    std::array<std::byte, slot_size> bytes;
    std::array<std::span<const std::byte>, io::NetDevice::most_pieces> pieces;
    std::size_t piece_count = 0;  // beyond the first: borrowed
    io::FrameWork work;
    std::uint64_t loan = 0;  // its number, if there are borrowed pieces
  };

  bool fill(Slot& slot, const ip::Frame& frame) noexcept;
  Task<Result<void>> send_some();

  io::NetDevice& device_;
  coro::Core& home_;
  io::HomeSignal news_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  bool refused_ = false;
  LoanBook& loans_;
  std::uint64_t sent_ = 0;
  std::uint64_t lost_ = 0;
  std::array<Slot, slots> ring_;
};

}  // namespace lichen::net::inet
