#include "lichen/driver/virtio/test_ring.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace lichen::driver::virtio::test {

namespace {

constexpr BusAddress bias = 0x1000'0000'0000;

template <class T>
T read(BusAddress address) {
  coro::hooks::interleave();
  return __atomic_load_n(reinterpret_cast<const T*>(TestMemory::at(address, sizeof(T)).data()),
                         __ATOMIC_ACQUIRE);
}
template <class T>
void write(BusAddress address, std::type_identity_t<T> value) {
  coro::hooks::interleave();
  __atomic_store_n(reinterpret_cast<T*>(TestMemory::at(address, sizeof(T)).data()), value,
                   __ATOMIC_RELEASE);
}

// 2.7.5: struct virtq_desc { le64 addr; le32 len; le16 flags; le16 next; }
class SplitDevice final : public DeviceRing {
 public:
  SplitDevice(std::uint16_t size, bool event_index, const RingAddresses& addresses)
      : size_{size}, event_index_{event_index}, at_{addresses} {
    EXPECT_EQ(at_.descriptors % 16, 0U);  // 2.7: alignments
    EXPECT_EQ(at_.driver % 2, 0U);
    EXPECT_EQ(at_.device % 4, 0U);
  }

  std::optional<Popped> pop() override {
    const auto available = read<std::uint16_t>(at_.driver + 2);
    EXPECT_LE(static_cast<std::uint16_t>(available - popped_), size_);
    if (available == popped_) return std::nullopt;
    const auto head = read<std::uint16_t>(at_.driver + 4 + 2 * (popped_ % size_));
    ++popped_;
    EXPECT_LT(head, size_);
    Popped buffer;
    buffer.id = head;
    walk(at_.descriptors, size_, head, buffer, false);
    return buffer;
  }
  void use(std::span<const Done> done) override {
    for (const auto& [buffer, written] : done) {
      const BusAddress element = at_.device + 4 + 8 * (used_ % size_);
      write<std::uint32_t>(element, buffer.id);
      write<std::uint32_t>(element + 4, written);
      ++used_;
    }
    write<std::uint16_t>(at_.device + 2, used_);
  }
  bool must_interrupt() override {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const std::uint16_t before = std::exchange(told_, used_);
    if (before == used_) return false;
    const auto flags = read<std::uint16_t>(at_.driver);
    if (!event_index_) return (flags & 1) == 0;
    EXPECT_EQ(flags, 0);  // 2.7.7.1
    // 2.7.7.2: when the used index passes the event.
    const auto event = read<std::uint16_t>(at_.driver + 4 + 2 * size_);
    for (std::uint16_t i = before; i != used_; ++i)
      if (i == event) return true;
    return false;
  }
  bool notifications(bool on) override {
    if (event_index_)
      write<std::uint16_t>(at_.device + 4 + 8 * size_,
                           on ? popped_ : static_cast<std::uint16_t>(popped_ - 1));
    else
      write<std::uint16_t>(at_.device, on ? 0 : 1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return read<std::uint16_t>(at_.driver + 2) == popped_;
  }
  void forge(std::uint32_t id, std::uint32_t length) override {
    const BusAddress element = at_.device + 4 + 8 * (used_ % size_);
    write<std::uint32_t>(element, id);
    write<std::uint32_t>(element + 4, length);
    write<std::uint16_t>(at_.device + 2, ++used_);
  }

 private:
  void walk(BusAddress table, std::uint32_t entries, std::uint16_t at, Popped& buffer,
            bool indirect) {
    for (std::uint32_t seen = 0; seen <= entries; ++seen) {
      const BusAddress entry = table + 16 * BusAddress{at};
      const auto address = read<std::uint64_t>(entry);
      const auto length = read<std::uint32_t>(entry + 8);
      const auto flags = read<std::uint16_t>(entry + 12);
      if (!indirect) ++buffer.descriptors;
      if ((flags & 4) != 0) {  // 2.7.5.3.1: not in a table itself, and nothing follows
        EXPECT_FALSE(indirect);
        EXPECT_EQ(flags & 1, 0);
        EXPECT_EQ(length % 16, 0U);
        EXPECT_NE(length, 0U);
        walk(address, length / 16, 0, buffer, true);
        return;
      }
      // 2.7.4.2: what the device reads comes first.
      if ((flags & 2) == 0) EXPECT_TRUE(buffer.write.empty());
      ((flags & 2) != 0 ? buffer.write : buffer.read).push_back(TestMemory::at(address, length));
      if ((flags & 1) == 0) return;
      at = read<std::uint16_t>(entry + 14);
      EXPECT_LT(at, entries);
    }
    ADD_FAILURE() << "a loop of descriptors";
  }

  const std::uint16_t size_;
  const bool event_index_;
  const RingAddresses at_;
  std::uint16_t popped_ = 0;
  std::uint16_t used_ = 0;
  std::uint16_t told_ = 0;
};

// 2.8.13: struct pvirtq_desc { le64 addr; le32 len; le16 id; le16 flags; }
class PackedDevice final : public DeviceRing {
 public:
  PackedDevice(std::uint16_t size, bool event_index, const RingAddresses& addresses)
      : size_{size}, event_index_{event_index}, at_{addresses} {
    EXPECT_EQ(at_.descriptors % 16, 0U);  // 2.8: alignments
    EXPECT_EQ(at_.driver % 4, 0U);
    EXPECT_EQ(at_.device % 4, 0U);
  }

  std::optional<Popped> pop() override {
    if (!is_available()) return std::nullopt;
    Popped buffer;
    for (;;) {
      const BusAddress entry = at_.descriptors + 16 * (popped_ % size_);
      const auto flags = read<std::uint16_t>(entry + 14);
      const auto address = read<std::uint64_t>(entry);
      const auto length = read<std::uint32_t>(entry + 8);
      buffer.id = read<std::uint16_t>(entry + 12);
      ++buffer.descriptors;
      EXPECT_LE(buffer.descriptors, size_);
      ++popped_;
      if ((flags & 4) != 0) {  // 2.8.7: a table, alone
        EXPECT_EQ(buffer.descriptors, 1);
        EXPECT_EQ(flags & 1, 0);
        EXPECT_EQ(length % 16, 0U);
        for (BusAddress at = address; at != address + length; at += 16)
          add(buffer, read<std::uint64_t>(at), read<std::uint32_t>(at + 8),
              read<std::uint16_t>(at + 14));
        return buffer;
      }
      add(buffer, address, length, flags);
      if ((flags & 1) == 0) return buffer;
      if (buffer.descriptors > size_) std::abort();
    }
  }
  void use(std::span<const Done> done) override {
    // The first is written last, so that all show at once.
    std::vector<std::uint64_t> places;
    for (const Done& each : done) {
      places.push_back(used_);
      used_ += each.buffer.descriptors;
    }
    for (std::size_t i = done.size(); i-- > 0;)
      show(places[i], done[i].buffer.id, done[i].written, !done[i].buffer.write.empty());
  }
  bool must_interrupt() override {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const std::uint64_t before = std::exchange(told_, used_);
    if (before == used_) return false;
    const auto how = read<std::uint16_t>(at_.driver + 2);
    EXPECT_LT(how, event_index_ ? 3 : 2);
    if (how != 2) return how == 0;
    const auto event = read<std::uint16_t>(at_.driver);
    for (std::uint64_t i = before; i != used_; ++i)
      if (i % size_ == (event & 0x7FFFU) && (i / size_ % 2 == 0) == (event >> 15 != 0)) return true;
    return false;
  }
  bool notifications(bool on) override {
    if (on && event_index_) {
      write<std::uint16_t>(
          at_.device, static_cast<std::uint16_t>(popped_ % size_ | (wraps(popped_) ? 0x8000 : 0)));
      write<std::uint16_t>(at_.device + 2, 2);
    } else {
      write<std::uint16_t>(at_.device + 2, on ? 0 : 1);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return !is_available();
  }
  void forge(std::uint32_t id, std::uint32_t length) override {
    show(used_, static_cast<std::uint16_t>(id), length, true);
  }

 private:
  // 2.8.1: both counters start at 1.
  [[nodiscard]] bool wraps(std::uint64_t position) const { return position / size_ % 2 == 0; }
  [[nodiscard]] bool is_available() const {
    const auto flags = read<std::uint16_t>(at_.descriptors + 16 * (popped_ % size_) + 14);
    const bool available = (flags & 1 << 7) != 0;
    const bool used = (flags & 1 << 15) != 0;
    return available != used && available == wraps(popped_);
  }
  static void add(Popped& buffer, BusAddress address, std::uint32_t length, std::uint16_t flags) {
    if ((flags & 2) == 0) EXPECT_TRUE(buffer.write.empty());  // 2.8.5
    ((flags & 2) != 0 ? buffer.write : buffer.read).push_back(TestMemory::at(address, length));
  }
  void show(std::uint64_t place, std::uint16_t id, std::uint32_t length, bool written) {
    const BusAddress entry = at_.descriptors + 16 * (place % size_);
    write<std::uint32_t>(entry + 8, length);
    write<std::uint16_t>(entry + 12, id);
    const unsigned flags = (wraps(place) ? 1U << 7 | 1U << 15 : 0U) | (written ? 2U : 0U);
    write<std::uint16_t>(entry + 14, static_cast<std::uint16_t>(flags));
  }

  const std::uint16_t size_;
  const bool event_index_;
  const RingAddresses at_;
  // Descriptors since the start.
  std::uint64_t popped_ = 0;
  std::uint64_t used_ = 0;
  std::uint64_t told_ = 0;
};

}  // namespace

TestMemory::~TestMemory() {
  EXPECT_EQ(live_.size(), 0U) << "memory was not freed";
  for (void* memory : live_) std::free(memory);
}

Result<Bytes> TestMemory::allocate(std::size_t size) noexcept {
  if (allocations_left == 0) return Error::no_memory;
  --allocations_left;
  const std::size_t whole = (size + 4095) / 4096 * 4096;
  void* memory = std::aligned_alloc(4096, whole);
  std::memset(memory, 0, whole);
  live_.push_back(memory);
  allocated += whole;
  return Bytes{static_cast<std::byte*>(memory), size};
}

void TestMemory::free(Bytes memory) noexcept {
  EXPECT_EQ(std::erase(live_, static_cast<void*>(memory.data())), 1U);
  std::free(memory.data());
}

BusAddress TestMemory::address(std::span<const std::byte> bytes) const noexcept {
  if (bytes.data() == unreachable) return no_address;
  return reinterpret_cast<std::uintptr_t>(bytes.data()) + bias;
}

Bytes TestMemory::at(BusAddress address, std::size_t size) noexcept {
  if (address < bias) {
    ADD_FAILURE() << "not an address of the bus: " << address;
    std::abort();
  }
  return {reinterpret_cast<std::byte*>(address - bias), size};
}

std::unique_ptr<DeviceRing> DeviceRing::create(bool packed, std::uint16_t size, bool event_index,
                                               const RingAddresses& addresses) {
  if (packed) return std::make_unique<PackedDevice>(size, event_index, addresses);
  return std::make_unique<SplitDevice>(size, event_index, addresses);
}

}  // namespace lichen::driver::virtio::test
