// The contract of network devices: frames in, frames out. Who runs a protocol stack over one need
// not know whether it is a virtio card, a TAP of the host or a simulated link.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/buffer.hpp"
#include "lichen/io/steering.hpp"

namespace lichen::io {

enum class Segmentation : std::uint8_t { none, tcp4, tcp6 };

// What goes with a frame beside its bytes, with the meanings of virtio's header (virtio 1.2,
// 5.1.6): work that is left to the receiver of this description.
struct FrameWork {
  // The Internet checksum from byte `checksum_start` to the end is still to be written at
  // `checksum_offset` bytes behind it; there lies the sum of the pseudo header so far.
  bool needs_checksum = false;
  // Of a received frame: the checksums were looked at and are right.
  bool checksum_is_right = false;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
  // The frame is a TCP segment that is to be cut into segments of `segment_size` bytes of payload,
  // each behind a copy of the first `header_size` bytes of the frame, suitably changed.
  Segmentation segmentation = Segmentation::none;
  std::uint16_t segment_size = 0;
  std::uint16_t header_size = 0;
};

struct ReceivedFrame {
  Buffer bytes;
  FrameWork work;
};

struct OutgoingFrame {
  // One after the other; at most NetDevice::most_pieces.
  std::span<const std::span<const std::byte>> pieces;
  FrameWork work;
};

struct NetFeatures {
  bool checksum = false;       // sends frames that need a checksum; may receive such
  bool segmentation4 = false;  // the same of segments that are to be cut, of TCP over IPv4
  bool segmentation6 = false;  // and over IPv6
};

// Of the medium behind a device.
struct LinkState {
  bool up = true;
  // So often it was asked that the machine make itself known anew: it is reached another way now.
  std::uint32_t announcements = 0;
  bool operator==(const LinkState&) const = default;
};

// A device's queues belong to the core that opened it; calls from elsewhere go there first.
class NetDevice {
 public:
  static constexpr std::size_t most_pieces = 24;
  static constexpr std::size_t most_frames = 32;  // in one call of send()

  virtual ~NetDevice() = default;

  // Waits for frames and hands over those that are there, at least one; says how many. What arrives
  // while the queue is full is dropped by the device. One task at a time: Error::busy.
  virtual Task<Result<std::size_t>> receive(std::span<ReceivedFrame> into) = 0;
  // Sends frames in order; their bytes are no longer needed when it returns. At most most_frames.
  // Yields how many were sent: what did not fit into the device's queue is left to the caller, who
  // may drop it or try again. Errors: those of the device, too_large (more pieces or bytes than it
  // takes).
  virtual Task<Result<std::size_t>> send(std::span<const OutgoingFrame> frames) = 0;

  // Waits until the state is another than `seen`, and yields it; at first the link is up for
  // whoever has not heard otherwise. While it is down what is sent is lost. One task at a time.
  // Errors: not_supported (the device does not tell), stopped.
  virtual Task<Result<LinkState>> link_changed(LinkState seen) {
    static_cast<void>(seen);
    co_return Error::not_supported;
  }

  // Whether so many buffers of received frames are still held that soon none might be left for what
  // comes: from then on a receiver keeps copies instead. On the device's core.
  [[nodiscard]] virtual bool is_short_of_buffers() noexcept { return false; }

  // By what it chooses the queue for a TCP segment; null: as it likes, or there is one queue only.
  // Always the same, on any core.
  [[nodiscard]] virtual const Steering* steering() const noexcept { return nullptr; }

  [[nodiscard]] virtual std::array<std::byte, 6> address() const noexcept = 0;
  [[nodiscard]] virtual std::size_t mtu() const noexcept = 0;  // bytes behind the Ethernet header
  [[nodiscard]] virtual NetFeatures features() const noexcept = 0;
};

}  // namespace lichen::io
