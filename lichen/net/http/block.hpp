// Block: memory from the core's frame pool for as long as there is data to hold.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "lichen/coro/hooks.hpp"

namespace lichen::net::http {

// Empty until allocate() succeeds. May be released on any core.
class Block {
 public:
  Block() noexcept = default;
  Block(Block&& other) noexcept
      : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Block() { release(); }

  // False when the memory budget is exhausted. MUST be empty.
  [[nodiscard]] bool allocate(std::size_t size) noexcept {
    data_ = static_cast<char*>(coro::hooks::allocate_frame(size));
    size_ = data_ ? size : 0;
    return data_ != nullptr;
  }
  void release() noexcept {
    if (data_) coro::hooks::free_frame(std::exchange(data_, nullptr), std::exchange(size_, 0));
  }

  [[nodiscard]] char* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lichen::net::http
