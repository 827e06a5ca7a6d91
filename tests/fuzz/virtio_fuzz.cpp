// A device that writes what it likes into its part of a ring. Whatever it writes, a driver gets
// back each buffer at most once, with no more bytes than it offered; and after the first lie the
// ring is cleared and works again.
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "lichen/driver/virtio/packed_ring.hpp"
#include "lichen/driver/virtio/split_ring.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::driver::virtio;

namespace {

class Memory final : public DeviceMemory {
 public:
  lichen::Result<std::span<std::byte>> allocate(std::size_t size) noexcept override {
    bytes_.reset(new (std::align_val_t{64}) std::byte[size]{});
    return std::span{bytes_.get(), size};
  }
  void free(std::span<std::byte>) noexcept override {}
  BusAddress address(std::span<const std::byte>) const noexcept override { return 0; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept {
      operator delete[](bytes, std::align_val_t{64});
    }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
};

constexpr std::uint32_t length = 100;

template <Ring R>
void run(std::span<const std::uint8_t> input, const RingOptions& options) {
  Memory memory;
  const SharedMemory shared = *SharedMemory::allocate(memory, R::memory_size(options));
  R ring = *R::create(shared, options);
  const std::span<std::byte> bytes = shared.bytes();
  std::vector<bool> with_device(256);
  std::size_t count = 0;
  const std::array<Segment, 3> segments{{{0, length}, {0, length}, {0, length}}};
  for (std::size_t i = 0; i + 3 < input.size(); i += 4) {
    const std::uint8_t token = input[i + 1];
    switch (input[i] % 4) {
      case 0: {
        if (with_device[token]) break;
        const std::size_t read = input[i + 2] % 3;
        const std::size_t written = input[i + 3] % 2 + (read == 0 ? 1 : 0);
        const bool room = ring.has_room(read + written);
        CHECK(
            room ==
            ring.add({std::span{segments}.first(read), std::span{segments}.first(written)}, token));
        if (!room) break;
        with_device[token] = true;
        ++count;
        break;
      }
      case 1:
        ring.publish();
        ring.interrupts_off();
        break;
      case 2: {  // anywhere, for a device is not held to its own part
        const std::size_t at = (std::size_t{input[i + 1]} << 8 | input[i + 2]) % bytes.size();
        bytes[at] = static_cast<std::byte>(input[i + 3]);
        break;
      }
      case 3: {
        ring.interrupts_on(1);
        const auto used = ring.take();
        if (used) {
          CHECK(used->token < with_device.size() && with_device[used->token]);
          CHECK(used->written <= 2 * length);
          with_device[used->token] = false;
          --count;
        } else if (used.failed_with(lichen::Error::protocol_error)) {
          ring.clear();
          with_device.assign(256, false);
          count = 0;
          CHECK(ring.take().failed_with(lichen::Error::would_block));
          CHECK(ring.has_room(options.size));
        }
        break;
      }
    }
    CHECK(ring.in_flight() == count);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::uint8_t> input{data + 1, size - 1};
  const RingOptions options{.size = static_cast<std::uint16_t>(4 << (data[0] >> 1 & 1)),
                            .event_index = (data[0] & 4) != 0,
                            .indirect = static_cast<std::uint16_t>((data[0] & 8) != 0 ? 3 : 0)};
  if ((data[0] & 1) != 0)
    run<PackedRing>(input, options);
  else
    run<SplitRing>(input, options);
  return 0;
}
