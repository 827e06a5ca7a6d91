#include "lichen/net/inet/transmit_queue.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/coro/sleep.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/net/wire/wire.hpp"

namespace lichen::net::inet {

namespace {

constexpr std::size_t ethertype_at = 12;

io::FrameWork work_of(const ip::Offload& offload, bool ipv6) noexcept {
  io::FrameWork work{.needs_checksum = offload.checksum,
                     .checksum_start = offload.checksum_start,
                     .checksum_offset = offload.checksum_offset};
  if (offload.segment_size == 0) return work;
  work.segmentation = ipv6 ? io::Segmentation::tcp6 : io::Segmentation::tcp4;
  work.segment_size = offload.segment_size;
  work.header_size = offload.header_size;
  return work;
}

}  // namespace

bool TransmitQueue::fill(Slot& slot, const ip::Frame& frame) noexcept {
  const std::size_t copied =
      frame.offload.segment_size != 0 ? frame.offload.header_size : frame.pieces.size();
  if (copied > slot_size) return false;
  slot.pieces[0] = std::span{slot.bytes}.first(copied);
  std::size_t count = 1;
  std::size_t at = 0;
  for (auto piece : frame.pieces.all()) {
    if (at < copied) {
      const std::size_t size = std::min(piece.size(), copied - at);
      std::memcpy(slot.bytes.data() + at, piece.data(), size);
      at += size;
      piece = piece.subspan(size);
      if (piece.empty()) continue;
    }
    if (count == slot.pieces.size()) return false;
    slot.pieces[count++] = piece;
  }
  slot.piece_count = count;
  const bool ipv6 = copied >= ethertype_at + 2 && slot.bytes[ethertype_at] == std::byte{0x86} &&
                    slot.bytes[ethertype_at + 1] == std::byte{0xdd};
  slot.work = work_of(frame.offload, ipv6);
  return true;
}

bool TransmitQueue::transmit(const ip::Frame& frame) noexcept {
  if (!has_room()) return false;
  Slot& slot = ring_[(first_ + count_) % slots];
  if (!fill(slot, frame)) {
    ++lost_;
    return true;
  }
  if (slot.piece_count > 1) slot.loan = loans_.lend();
  if (count_++ == 0) news_.notify();
  return true;
}

Task<Result<void>> TransmitQueue::send_some() {
  std::array<io::OutgoingFrame, io::NetDevice::most_frames> frames;
  const std::size_t wanted = std::min(count_, frames.size());
  for (std::size_t i = 0; i < wanted; ++i) {
    const Slot& slot = ring_[(first_ + i) % slots];
    frames[i] = {std::span{slot.pieces}.first(slot.piece_count), slot.work};
  }
  auto taken = co_await device_.send(std::span{frames}.first(wanted));
  // A device of another core has taken the task there; the queue is of this one.
  const io::Stay stay = co_await io::StayOn{home_};
  std::size_t done = taken ? *taken : 0;
  if (!taken) {
    if (taken.failed_with(Error::stopped)) co_return Error::stopped;
    // The device is down, say: as if the medium had lost it.
    done = wanted;
    lost_ += wanted;
  } else {
    sent_ += done;
  }
  for (std::size_t i = 0; i < done; ++i)
    if (const Slot& slot = ring_[(first_ + i) % slots]; slot.piece_count > 1)
      loans_.give_back(slot.loan);
  count_ -= done;
  // From the front again, so that the same slots are used: few, and in the caches.
  first_ = count_ == 0 ? 0 : (first_ + done) % slots;
  if (done < wanted) CO_TRY(co_await coro::sleep_for(std::chrono::microseconds{100}));
  co_return Result<void>{};
}

}  // namespace lichen::net::inet
