#include "lichen/io/buffer.hpp"

#include "lichen/coro/hooks.hpp"

namespace lichen::io {

namespace {

class FrameBuffers final : public BufferOwner {
 public:
  void give_back(std::span<std::byte> whole) noexcept override {
    coro::hooks::free_frame(whole.data(), whole.size());
  }
};
constinit FrameBuffers frame_buffers;

}  // namespace

Buffer allocate_buffer(std::size_t size) noexcept {
  auto* bytes = static_cast<std::byte*>(coro::hooks::allocate_frame(size));
  if (!bytes) return {};
  return Buffer{frame_buffers, {bytes, size}, 0};
}

}  // namespace lichen::io
