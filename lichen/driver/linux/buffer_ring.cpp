#include "lichen/driver/linux/buffer_ring.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>

namespace lichen::driver {

namespace {

void* map_memory(std::size_t size) noexcept {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

Result<std::unique_ptr<BufferRing>> BufferRing::create(Ring& ring, coro::Core& home,
                                                       const BufferRingOptions& options) {
  if (!std::has_single_bit(options.count) || options.count > 32768 ||
      !std::has_single_bit(options.size))
    return Error::invalid_argument;
  std::unique_ptr<BufferRing> buffers{new (std::nothrow) BufferRing{ring, home}};
  if (!buffers) return Error::no_memory;
  TRY(buffers->set_up(options));
  return buffers;
}

Result<void> BufferRing::set_up(const BufferRingOptions& options) noexcept {
  count_ = options.count;
  size_ = options.size;
  group_ = options.group;
  wanted_ = std::min(options.posted_at_first, count_);
  shared_ = static_cast<io_uring_buf_ring*>(map_memory(count_ * sizeof(io_uring_buf)));
  if (!shared_) return Error::no_memory;
  buffers_ = static_cast<std::byte*>(map_memory(static_cast<std::size_t>(count_) * size_));
  if (!buffers_) return Error::no_memory;

  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(shared_);
  registration.ring_entries = count_;
  registration.bgid = group_;
  TRY(ring_.register_with(IORING_REGISTER_PBUF_RING, &registration, 1));
  registered_ = true;

  notes_.resize(count_);
  free_.reserve(count_);
  for (unsigned id = count_; id-- > 0;) free_.push_back(static_cast<std::uint16_t>(id));
  fill();
  return {};
}

BufferRing::~BufferRing() {
  if (registered_) {
    io_uring_buf_reg registration{};
    registration.bgid = group_;
    ring_.register_with(IORING_UNREGISTER_PBUF_RING, &registration, 1).ignore();
  }
  if (shared_) munmap(shared_, count_ * sizeof(io_uring_buf));
  if (buffers_) munmap(buffers_, static_cast<std::size_t>(count_) * size_);
}

void BufferRing::post(std::uint16_t id) noexcept {
  // (The header's own array member lies elsewhere when it is compiled as C++.)
  io_uring_buf& entry = reinterpret_cast<io_uring_buf*>(shared_)[tail_ & (count_ - 1)];
  const std::span<std::byte> memory = bytes(id);
  entry.addr = reinterpret_cast<std::uint64_t>(memory.data());
  entry.len = size_;
  entry.bid = id;
  ++tail_;
  ++posted_;
  __atomic_store_n(&shared_->tail, tail_, __ATOMIC_RELEASE);
}

void BufferRing::taken() noexcept {
  --posted_;
  in_use_.add();
}

void BufferRing::put(std::uint16_t id) noexcept {
  in_use_.subtract();
  if (posted_ < wanted_)
    post(id);
  else
    free_.push_back(id);
}

void BufferRing::give_back(std::span<std::byte> whole) noexcept {
  const auto id =
      static_cast<std::uint16_t>(static_cast<std::size_t>(whole.data() - buffers_) / size_);
  if (coro::this_core() == &home_) [[likely]] {
    put(id);
    return;
  }
  std::uint16_t first = returned_.load(std::memory_order_relaxed);
  do {
    notes_[id].next = first;
  } while (!returned_.compare_exchange_weak(first, id, std::memory_order_release,
                                            std::memory_order_relaxed));
}

void BufferRing::collect_returned() noexcept {
  if (returned_.load(std::memory_order_relaxed) == none) [[likely]]
    return;
  std::uint16_t id = returned_.exchange(none, std::memory_order_acquire);
  while (id != none) {
    const std::uint16_t following = notes_[id].next;
    put(id);
    id = following;
  }
}

bool BufferRing::replenish() noexcept {
  collect_returned();
  if (posted_ == 0) wanted_ = std::min(wanted_ * 2, count_);
  fill();
  return posted_ > 0;
}

void BufferRing::fill() noexcept {
  while (posted_ < wanted_ && !free_.empty()) {
    post(free_.back());
    free_.pop_back();
  }
}

}  // namespace lichen::driver
