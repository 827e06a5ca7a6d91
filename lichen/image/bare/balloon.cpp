#include "lichen/image/bare/balloon.hpp"

#include "lichen/base/log.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::image {

namespace virtio = driver::virtio;

std::size_t GivenFrames::piece_size() const noexcept { return hal::granule_size; }

Result<std::span<std::byte>> GivenFrames::take() noexcept {
  if (statistics().free < reserve + hal::granule_size) return Error::no_memory;
  return hal::allocate_aligned(hal::granule_size, hal::granule_size);
}

void GivenFrames::give_back(std::span<std::byte> piece) noexcept { hal::free_pages(piece); }

virtio::BusAddress GivenFrames::address(std::span<const std::byte> piece) const noexcept {
  return hal::physical_address(piece);
}

virtio::BalloonMemory::Statistics GivenFrames::statistics() const noexcept {
  const std::size_t total = hal::memory_size();
  return {.total = total, .free = total - hal::page_statistics().allocated};
}

Task<Result<void>> BareBalloon::open() {
  balloon_ = CO_TRY(co_await virtio::Balloon::open(device_.transport(), memory_, frames_));
  interrupts_.emplace(*balloon_);
  device_.tell(&*interrupts_);
  co_return Result<void>{};
}

Task<Result<void>> BareBalloon::run() {
  const Result<void> ended = co_await balloon_->run();
  if (!ended.failed_with(Error::stopped))
    base::log::warning("the virtio balloon is not used any more: {}", ended.error());
  co_return ended;
}

}  // namespace lichen::image
