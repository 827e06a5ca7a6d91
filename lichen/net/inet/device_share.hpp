// DeviceShare: what one of several cores has of a device whose queues all are those of the first.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "lichen/coro/event.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/io/net_device.hpp"

namespace lichen::net::inet {

// The first core receives for all, and all send, one after the other.
class DeviceShare final : public io::NetDevice {
 public:
  // `sending`: the same for all shares of the device. Both MUST outlive it.
  DeviceShare(io::NetDevice& device, coro::Mutex& sending, bool receives) noexcept
      : device_{device}, sending_{sending}, receives_{receives} {}

  Task<Result<std::size_t>> receive(std::span<io::ReceivedFrame> into) override {
    if (receives_) co_return co_await device_.receive(into);
    CO_TRY(co_await never_.wait());
    co_return std::size_t{0};
  }
  Task<Result<std::size_t>> send(std::span<const io::OutgoingFrame> frames) override {
    const auto turn = CO_TRY(co_await sending_.lock());
    co_return co_await device_.send(frames);
  }
  Task<Result<io::LinkState>> link_changed(io::LinkState seen) override {
    if (!receives_) co_return Error::not_supported;
    co_return co_await device_.link_changed(seen);
  }
  // The one that receives asks on the device's core.
  bool is_short_of_buffers() noexcept override {
    return receives_ && device_.is_short_of_buffers();
  }
  [[nodiscard]] const io::Steering* steering() const noexcept override {
    return device_.steering();
  }
  [[nodiscard]] std::array<std::byte, 6> address() const noexcept override {
    return device_.address();
  }
  [[nodiscard]] std::size_t mtu() const noexcept override { return device_.mtu(); }
  [[nodiscard]] io::NetFeatures features() const noexcept override { return device_.features(); }

 private:
  io::NetDevice& device_;
  coro::Mutex& sending_;
  const bool receives_;
  coro::Event never_;
};

}  // namespace lichen::net::inet
