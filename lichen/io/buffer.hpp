// Buffer: bytes lent by whoever produced them (a provided-buffer ring, a pool, a page cache).
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace lichen::io {

// Who lends buffers. give_back() is called once for each buffer, on any core.
class BufferOwner {
 public:
  virtual void give_back(std::span<std::byte> whole) noexcept = 0;

 protected:
  ~BufferOwner() = default;
};

// Movable view of lent bytes; gives them back when destroyed. The lender MUST outlive its buffers.
// An empty buffer lends nothing (end of stream, where a function says so).
class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(BufferOwner& owner, std::span<std::byte> whole, std::size_t used) noexcept
      : owner_{&owner}, whole_{whole}, end_{used} {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer{std::move(other)}.swap(*this);
    return *this;
  }
  ~Buffer() { release(); }

  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return whole_.subspan(begin_, end_ - begin_);
  }
  // The unused room behind the bytes, and taking n bytes of it into use.
  [[nodiscard]] std::span<std::byte> room() const noexcept { return whole_.subspan(end_); }
  void extend(std::size_t n) noexcept { end_ += n; }
  // Drops n bytes from the front. MUST NOT exceed size().
  void consume(std::size_t n) noexcept { begin_ += n; }
  // Drops n bytes from the back. MUST NOT exceed size().
  void shorten(std::size_t n) noexcept { end_ -= n; }

  void release() noexcept {
    if (owner_) std::exchange(owner_, nullptr)->give_back(whole_);
    whole_ = {};
    begin_ = end_ = 0;
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(whole_, other.whole_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
  }

  BufferOwner* owner_ = nullptr;
  std::span<std::byte> whole_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// An unused buffer of `size` bytes from the frame pools; without room when there is no memory.
Buffer allocate_buffer(std::size_t size) noexcept;

}  // namespace lichen::io
