// A queue of records in memory that is given: each in one piece, nothing allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "lichen/base/bits.hpp"

namespace lichen::net::ip {

// A record of `size` bytes takes overhead + size, rounded up to 8; a ring of that size always holds
// it once it is empty.
class RecordRing {
 public:
  static constexpr std::size_t overhead = 8;

  explicit RecordRing(std::span<std::byte> memory) noexcept
      : memory_{memory.first(base::align_down(memory.size(), std::size_t{8}))} {}

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

  // Room for a new record at the end, which is to be filled at once; null data when it is full.
  std::span<std::byte> push(std::size_t size) noexcept {
    const std::size_t need = overhead + base::align_up(size, std::size_t{8});
    if (count_ == 0) head_ = tail_ = 0;
    const bool wrapped = count_ > 0 && tail_ <= head_;
    if (need > (wrapped ? head_ : memory_.size()) - tail_) {
      // Not behind the last one: at the start, if that is free.
      if (wrapped || need > head_) return {};
      if (memory_.size() - tail_ >= overhead) store(tail_, skip);
      tail_ = 0;
    }
    store(tail_, size);
    const auto room = memory_.subspan(tail_ + overhead, size);
    tail_ += need;
    ++count_;
    return room;
  }
  // MUST NOT be empty.
  [[nodiscard]] std::span<std::byte> front() noexcept {
    wrap();
    return memory_.subspan(head_ + overhead, load(head_));
  }
  void pop() noexcept {
    wrap();
    head_ += overhead + base::align_up(load(head_), std::size_t{8});
    --count_;
  }
  void clear() noexcept { head_ = tail_ = count_ = 0; }

 private:
  static constexpr std::size_t skip = SIZE_MAX;

  void wrap() noexcept {
    if (memory_.size() - head_ < overhead || load(head_) == skip) head_ = 0;
  }
  void store(std::size_t at, std::size_t size) noexcept {
    std::memcpy(memory_.subspan(at).data(), &size, sizeof size);
  }
  [[nodiscard]] std::size_t load(std::size_t at) const noexcept {
    std::size_t size;
    std::memcpy(&size, memory_.subspan(at).data(), sizeof size);
    return size;
  }

  std::span<std::byte> memory_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t count_ = 0;
};

}  // namespace lichen::net::ip
