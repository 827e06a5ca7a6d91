#include "lichen/driver/virtio/net_send.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace lichen::driver::virtio {

namespace {

using io::NetHeader;
constexpr std::size_t most_segments = io::NetDevice::most_pieces + 1;

bool is_agreed(const io::FrameWork& work, const io::NetFeatures& features) noexcept {
  if (work.needs_checksum && !features.checksum) return false;
  switch (work.segmentation) {
    case io::Segmentation::none: return true;
    case io::Segmentation::tcp4: return features.segmentation4;
    case io::Segmentation::tcp6: return features.segmentation6;
  }
  return false;
}

}  // namespace

NetSend::NetSend(Queue queue, DeviceMemory& memory, const SendOptions& options) noexcept
    : queue_{std::move(queue)}, bus_{memory}, options_{options} {}

Result<std::unique_ptr<NetSend>> NetSend::create(Transport& transport, DeviceMemory& memory,
                                                 Features features,
                                                 const SendOptions& options) noexcept {
  Queue queue = TRY(Queue::create(transport, memory, features,
                                  {.index = options.queue,
                                   .most_descriptors = options.most_descriptors,
                                   .indirect = most_segments,
                                   .vector = options.vector}));
  std::unique_ptr<NetSend> half{new (std::nothrow) NetSend{std::move(queue), memory, options}};
  if (!half) return Error::no_memory;
  half->memory_ = TRY(SharedMemory::allocate(memory, options.frames * options.buffer_size));
  half->free_.reset(new (std::nothrow) std::uint16_t[options.frames]);
  half->is_lent_.reset(new (std::nothrow) bool[options.frames]{});
  if (!half->free_ || !half->is_lent_) return Error::no_memory;
  half->free_all();
  return half;
}

void NetSend::free_all() noexcept {
  for (std::uint16_t i = 0; i < options_.frames; ++i) free_[i] = i;
  free_count_ = options_.frames;
  lent_ = 0;
}

Result<void> NetSend::enable() noexcept {
  TRY(queue_.enable());
  queue_.interrupts_off();
  return {};
}

void NetSend::drop_all() noexcept {
  counters_.lost += queue_.in_flight();
  queue_.clear();
  free_all();
  news_.set();
  wake_lender();
}

Result<std::size_t> NetSend::add(std::span<const io::OutgoingFrame> frames) noexcept {
  std::size_t count = 0;
  for (const io::OutgoingFrame& frame : frames) {
    const Result<void> added = add(frame);
    if (!added && count == 0) return added.error();
    if (!added) break;
    ++count;
  }
  counters_.frames += count;
  return count;
}

Result<void> NetSend::add(const io::OutgoingFrame& frame) noexcept {
  std::size_t size = 0;
  for (const auto& piece : frame.pieces) size += piece.size();
  if (size > io::largest_frame || frame.pieces.size() > io::NetDevice::most_pieces)
    return Error::too_large;
  if (size == 0 || !is_agreed(frame.work, options_.features)) return Error::invalid_argument;
  const bool copied = sizeof(NetHeader) + size <= options_.buffer_size;
  if (!copied && frame.pieces.size() + 1 > queue_.size()) return Error::too_large;
  if (free_count_ == 0 || !queue_.has_room(copied ? 1 : frame.pieces.size() + 1))
    return Error::would_block;

  const std::uint16_t slot = free_[free_count_ - 1];
  const std::size_t offset = slot * options_.buffer_size;
  std::byte* const buffer = memory_.bytes().data() + offset;
  NetHeader header = io::header_of(frame.work);
  // 5.1.6.2.1: the rest of the flags is the device's.
  header.flags &= NetHeader::needs_checksum;
  std::memcpy(buffer, &header, sizeof header);
  std::array<Segment, most_segments> segments;
  segments[0] = {memory_.address(offset), sizeof header};
  std::size_t count = 1;
  for (const auto& piece : frame.pieces) {
    if (piece.empty()) continue;
    if (copied) {
      std::memcpy(buffer + segments[0].length, piece.data(), piece.size());
      segments[0].length += static_cast<std::uint32_t>(piece.size());
      continue;
    }
    const BusAddress address = bus_.address(piece);
    if (address == no_address) return Error::invalid_argument;
    segments[count++] = {address, static_cast<std::uint32_t>(piece.size())};
  }
  queue_.add({.read = std::span{segments}.first(count), .written = {}}, slot);
  --free_count_;
  is_lent_[slot] = !copied;
  if (copied)
    ++counters_.copied;
  else
    ++lent_;
  return {};
}

Result<void> NetSend::reclaim() noexcept {
  for (;;) {
    const Result<Used> used = queue_.take();
    if (used.failed_with(Error::would_block)) return {};
    if (!used) return used.error();
    if (std::exchange(is_lent_[used->token], false)) --lent_;
    free_[free_count_++] = used->token;
    ++counters_.returned;
  }
}

bool NetSend::interrupt_when_roomy() noexcept {
  return queue_.interrupts_on(std::max<std::uint16_t>(1, queue_.in_flight() / 2));
}

void NetSend::wake_lender() noexcept {
  if (lent_ == 0 && lender_ != nullptr) coro::wake(*std::exchange(lender_, nullptr));
}

}  // namespace lichen::driver::virtio
