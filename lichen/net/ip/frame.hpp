// What is given to a device.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

namespace lichen::net::ip {

using Bytes = std::span<const std::byte>;

// Memory in pieces that belong one behind the other, without a copy. At most `most` of them.
class Pieces {
 public:
  static constexpr std::size_t most = 64;

  Pieces() noexcept {}  // NOLINT(modernize-use-equals-default): `Pieces{}` leaves the room as it is
  Pieces(Bytes piece) noexcept { add(piece); }

  // False when there are too many already.
  bool add(Bytes piece) noexcept {
    if (piece.empty()) return true;
    if (count_ == most) return false;
    std::construct_at(pieces() + count_++, piece);
    size_ += piece.size();
    return true;
  }
  // A part of these, which MUST hold it, behind what is in `out`. False: too many pieces.
  bool cut(std::size_t at, std::size_t size, Pieces& out) const noexcept {
    for (const Bytes piece : all()) {
      if (size == 0) break;
      if (at >= piece.size()) {
        at -= piece.size();
        continue;
      }
      const std::size_t take = std::min(size, piece.size() - at);
      if (!out.add(piece.subspan(at, take))) return false;
      at = 0;
      size -= take;
    }
    return true;
  }
  // Copies all of it to the start of `to`, which MUST have room.
  void copy_to(std::span<std::byte> to) const noexcept {
    for (const Bytes piece : all()) {
      std::ranges::copy(piece, to.begin());
      to = to.subspan(piece.size());
    }
  }

  [[nodiscard]] std::span<const Bytes> all() const noexcept { return {pieces(), count_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  Bytes* pieces() noexcept { return std::launder(reinterpret_cast<Bytes*>(room_.data())); }
  [[nodiscard]] const Bytes* pieces() const noexcept {
    return std::launder(reinterpret_cast<const Bytes*>(room_.data()));
  }

  // Of Bytes. Each packet has several of these on its way: to zero a KiB each time costs more than
  // what else is done with them.
  alignas(Bytes) std::array<std::byte, most * sizeof(Bytes)> room_;
  std::size_t count_ = 0;
  std::size_t size_ = 0;
};

// What is left to the device (virtio 1.2 section 5.1.6.2). Offsets count from the start of the
// frame; on the way down, in Packet, from the transport's header.
struct Offload {
  bool checksum = false;  // sum from `checksum_start`, and store at `checksum_start` + `offset`
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
  std::uint16_t segment_size = 0;  // payload of each packet to be made of this one; 0: leave it
  std::uint16_t header_size = 0;   // of all headers, copied to each
};

struct Frame {
  const Pieces& pieces;
  Offload offload;
};

// The way to a device.
class FrameOutput {
 public:
  // The frame is valid during the call, but the payload of a TCP segment until it is acknowledged.
  // False: there is no room, and the frame is lost.
  virtual bool transmit(const Frame& frame) noexcept = 0;

 protected:
  ~FrameOutput() = default;
};

}  // namespace lichen::net::ip
