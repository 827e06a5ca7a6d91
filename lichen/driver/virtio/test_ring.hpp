// The device's side of both forms of a virtqueue, written from the specification for tests, and
// memory in which the device's addresses differ from ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/ring.hpp"

namespace lichen::driver::virtio::test {

using Bytes = std::span<std::byte>;

class TestMemory final : public DeviceMemory {
 public:
  ~TestMemory();
  Result<Bytes> allocate(std::size_t size) noexcept override;
  void free(Bytes memory) noexcept override;
  BusAddress address(std::span<const std::byte> bytes) const noexcept override;
  // What lies there; the test fails if that is no address of ours.
  static Bytes at(BusAddress address, std::size_t size) noexcept;

  std::size_t allocations_left = ~std::size_t{0};
  std::size_t allocated = 0;
  const std::byte* unreachable = nullptr;

 private:
  std::vector<void*> live_;
};

// A buffer that the driver made available.
struct Popped {
  std::uint16_t id = 0;
  std::uint16_t descriptors = 0;
  std::vector<Bytes> read;
  std::vector<Bytes> write;
};
struct Done {
  Popped buffer;
  std::uint32_t written = 0;
};

// Broken rules of the driver's are failures of the test.
class DeviceRing {
 public:
  static std::unique_ptr<DeviceRing> create(bool packed, std::uint16_t size, bool event_index,
                                            const RingAddresses& addresses);
  virtual ~DeviceRing() = default;

  virtual std::optional<Popped> pop() = 0;
  // All of them become visible at once.
  virtual void use(std::span<const Done> done) = 0;
  // Whether the driver is to be interrupted for what was used since the last call.
  virtual bool must_interrupt() = 0;
  // Off: the driver need not notify. On: it must for what comes from now on; false if something is
  // there already.
  virtual bool notifications(bool on) = 0;

  // For devices that lie: writes an entry of the used ring that nothing justifies, at the place
  // where the driver looks next.
  virtual void forge(std::uint32_t id, std::uint32_t length) = 0;
};

}  // namespace lichen::driver::virtio::test
