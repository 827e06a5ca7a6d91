// A virtio device (virtio 1.2) that does what the fuzzer's input says: it takes what is offered to
// it, hands it back in any order with any length or never, writes where it likes in its rings,
// changes its configuration, breaks down, resets late or goes away. It watches what the driver may
// never do: offer memory that it does not have, or take memory back that the device may still use.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "lichen/base/bits.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/transport.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/choices.hpp"

namespace lichen::fuzz {

using namespace driver::virtio;

// In pieces of exactly their size, so that the sanitizer sees every step past their ends.
class LentMemory final : public DeviceMemory {
 public:
  using Bytes = std::span<std::byte>;
  ~LentMemory() {
    for (const Bytes piece : own_) release(piece);
  }
  Result<Bytes> allocate(std::size_t size) noexcept override {
    if (size == 0 || left == 0) return Error::no_memory;
    --left;
    const Bytes piece{static_cast<std::byte*>(operator new(size, page)), size};
    std::memset(piece.data(), 0, size);
    own_.push_back(piece);
    return piece;
  }
  void free(Bytes piece) noexcept override {
    const auto found = std::ranges::find(own_, piece.data(), [](Bytes own) { return own.data(); });
    CHECK(found != own_.end());
    own_.erase(found);
    release(piece);
  }
  BusAddress address(std::span<const std::byte> bytes) const noexcept override {
    const bool beyond = std::ranges::any_of(beyond_, [&](Bytes one) {
      return bytes.data() >= one.data() && bytes.data() < one.data() + one.size();
    });
    if (beyond) return no_address;
    return reinterpret_cast<std::uintptr_t>(bytes.data());
  }

  // Memory of whoever asks the driver for something, until forget(). Not all may be in reach.
  void lend(Bytes bytes, bool in_reach = true) { (in_reach ? lent_ : beyond_).push_back(bytes); }
  void forget(Bytes bytes) {
    for (auto* all : {&lent_, &beyond_})
      std::erase_if(*all, [&](Bytes lent) { return lent.data() == bytes.data(); });
  }
  [[nodiscard]] bool contains(BusAddress address, std::uint64_t length) const {
    const auto inside = [&](Bytes piece) {
      const auto begin = reinterpret_cast<std::uintptr_t>(piece.data());
      return address >= begin && length <= piece.size() && address - begin <= piece.size() - length;
    };
    return std::ranges::any_of(own_, inside) || std::ranges::any_of(lent_, inside);
  }
  [[nodiscard]] bool all_freed() const { return own_.empty(); }

  std::size_t left = 64;  // pieces

 private:
  static constexpr std::align_val_t page{4096};
  static void release(Bytes piece) { operator delete(piece.data(), page); }

  std::vector<Bytes> own_;
  std::vector<Bytes> lent_;
  std::vector<Bytes> beyond_;
};

class HostileDevice final : public Transport {
 public:
  HostileDevice(DeviceKind device_kind, std::size_t queue_count, LentMemory& memory)
      : kind_of_it{device_kind}, queues(queue_count), memory_{memory} {}

  // A buffer that the driver has offered and that did not go back.
  struct Held {
    std::uint16_t id = 0;
    std::uint16_t descriptors = 0;
    std::vector<Segment> read;
    std::vector<Segment> written;
    [[nodiscard]] std::uint32_t room() const {
      std::uint32_t sum = 0;
      for (const Segment& segment : written) sum += segment.length;
      return sum;
    }
  };
  struct Queue {
    std::uint16_t limit = 0;
    bool enabled = false;
    QueueSetup setup{};
    std::vector<Held> held{};
    std::uint64_t popped = 0;  // split: buffers; packed: descriptors
    std::uint64_t used = 0;
    bool confused = false;  // it has said what cannot be: nobody knows any more whose a buffer is
  };

  DeviceKind kind() noexcept override { return kind_of_it; }
  Features offered() noexcept override { return offers; }
  void accept(Features features) noexcept override {
    CHECK((features & ~offers) == 0);
    accepted = features;
  }
  std::uint8_t status() noexcept override {
    if (gone) return 0xFF;
    if (resetting_) {
      if (resets_late == 0) finish_reset();
      if (resets_late != 0) --resets_late;
    }
    return status_;
  }
  void set_status(std::uint8_t value) noexcept override {
    if (value == 0) {
      resetting_ = true;
      return;
    }
    if (refuses) value &= static_cast<std::uint8_t>(~status::features_ok);
    if (!resetting_) status_ = value | (status_ & status::needs_reset);
  }
  std::uint8_t config_generation() noexcept override {
    return restless ? ++generation : generation;
  }
  std::uint8_t config8(std::size_t offset) noexcept override { return get<std::uint8_t>(offset); }
  std::uint16_t config16(std::size_t offset) noexcept override {
    return get<std::uint16_t>(offset);
  }
  std::uint32_t config32(std::size_t offset) noexcept override {
    return get<std::uint32_t>(offset);
  }
  void set_config8(std::size_t offset, std::uint8_t value) noexcept override {
    if (offset < config.size()) config[offset] = static_cast<std::byte>(value);
  }
  void set_config32(std::size_t offset, std::uint32_t value) noexcept override {
    if (offset + 4 <= config.size()) std::memcpy(config.data() + offset, &value, 4);
  }
  std::uint16_t queue_limit(std::uint16_t queue) noexcept override {
    return queue < queues.size() ? queues[queue].limit : std::uint16_t{0};
  }
  Result<void> enable_queue(std::uint16_t index, const QueueSetup& setup) noexcept override {
    if (index >= queues.size() || queues[index].limit == 0) return Error::not_found;
    Queue& queue = queues[index];
    if (queue.enabled) return Error::invalid_state;
    if (setup.size == 0 || setup.size > queue.limit) return Error::invalid_argument;
    if (lacks_vectors && setup.vector != no_vector) return Error::limit_reached;
    const std::size_t size = setup.size;
    const bool packed = (accepted & feature::packed_ring) != 0;
    CHECK(packed || (size & (size - 1)) == 0);
    CHECK(setup.addresses.descriptors % 16 == 0);
    CHECK(setup.addresses.device % 4 == 0 && setup.addresses.driver % (packed ? 4 : 2) == 0);
    CHECK(memory_.contains(setup.addresses.descriptors, 16 * size));
    CHECK(memory_.contains(setup.addresses.driver, packed ? 4 : 6 + 2 * size));
    CHECK(memory_.contains(setup.addresses.device, packed ? 4 : 6 + 8 * size));
    queue = {.limit = queue.limit, .enabled = true, .setup = setup};
    return {};
  }
  Result<void> set_config_vector(Vector) noexcept override {
    if (lacks_vectors) return Error::limit_reached;
    return {};
  }
  void notify(std::uint16_t queue) noexcept override {
    CHECK(queue < queues.size() && (queues[queue].enabled || went_));
  }
  Vector vectors() const noexcept override { return vector_count; }
  InterruptCause acknowledge_interrupt() noexcept override { return std::exchange(cause, {}); }

  // Takes what is there. Before each of the device's steps, and before the driver's word is taken
  // for anything.
  void look() {
    if (!may_use_memory()) return;
    for (Queue& queue : queues)
      if (queue.enabled && !queue.confused)
        while (pop(queue)) continue;
  }
  // Whether the device may use memory: the driver does not know better.
  [[nodiscard]] bool may_use_memory() const { return !gone && (status_ & status::driver_ok) != 0; }
  // Of bytes that were lent and now go back.
  void check_given_back(std::span<const std::byte> bytes) {
    look();
    if (!may_use_memory()) return;
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
    const auto meets = [&](const Segment& segment) {
      return segment.address < begin + bytes.size() && begin < segment.address + segment.length;
    };
    for (const Queue& queue : queues)
      for (const Held& held : queue.held)
        CHECK(queue.confused || (std::ranges::none_of(held.read, meets) &&
                                 std::ranges::none_of(held.written, meets)));
  }

  // Writes to a buffer what `bytes` yields, wherever it may.
  template <class Byte>
  void fill(const Held& held, Byte byte) {
    for (const Segment& segment : held.written)
      if (memory_.contains(segment.address, segment.length))  // of a confused one it may be gone
        std::generate_n(at(segment.address), segment.length, byte);
  }
  // Reads all that it may.
  [[nodiscard]] std::vector<std::byte> content(const Held& held) const {
    std::vector<std::byte> bytes;
    for (const Segment& segment : held.read)
      if (memory_.contains(segment.address, segment.length))
        bytes.insert(bytes.end(), at(segment.address), at(segment.address) + segment.length);
    return bytes;
  }
  // Gives one back; says that so much was written.
  void use(Queue& queue, std::size_t which, std::uint32_t written) {
    const Held held = std::move(queue.held[which]);
    queue.held.erase(queue.held.begin() + static_cast<std::ptrdiff_t>(which));
    show(queue, held.id, written, held.descriptors, !held.written.empty());
  }
  // Gives back something that it may not have.
  void forge(Queue& queue, std::uint32_t id, std::uint32_t written) {
    if (!queue.enabled) return;
    std::uint16_t descriptors = 1;
    const auto found = std::ranges::find(queue.held, id, &Held::id);
    if (found != queue.held.end()) {
      descriptors = found->descriptors;
      queue.held.erase(found);
    } else {
      queue.confused = true;  // it may be taken for one that is offered later
    }
    show(queue, id, written, descriptors, true);
  }
  // Writes a byte anywhere into a ring's memory.
  void scribble(Queue& queue, std::uint16_t place, std::uint8_t value) {
    if (!queue.enabled) return;
    const std::size_t size = queue.setup.size;
    const bool packed = is_packed();
    const std::array<std::pair<BusAddress, std::size_t>, 3> parts{
        {{queue.setup.addresses.device, packed ? 4 : 6 + 8 * size},
         {queue.setup.addresses.driver, packed ? 4 : 6 + 2 * size},
         {queue.setup.addresses.descriptors, 16 * size}}};
    const auto& [begin, length] = parts[place % 3];
    at(begin)[place / 3 % length] = static_cast<std::byte>(value);
    queue.confused = true;
  }
  void break_down() {
    if (gone || resetting_) return;
    status_ |= status::needs_reset;
    cause.configuration = true;
  }
  // Nothing but ones is read of its status, until it comes back as new.
  void go_away() {
    finish_reset();
    gone = went_ = true;
  }
  // Now and then what a driver has to ask for help against, and a change of its configuration.
  void make_trouble(unsigned what) {
    if (what == 1) break_down();
    if (what == 2) go_away();
    restless = what % 4 == 3;
    resets_late = what >= 128 ? what : 0;
    config[what % 8] = static_cast<std::byte>(what);
    cause.configuration = true;
  }

  [[nodiscard]] bool is_packed() const { return (accepted & feature::packed_ring) != 0; }
  [[nodiscard]] bool is_resetting() const { return resetting_; }
  static std::byte* at(BusAddress address) {
    return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address));
  }

  DeviceKind kind_of_it;
  std::vector<Queue> queues;
  Features offers = feature::version_1;
  Features accepted = 0;
  std::array<std::byte, 64> config{};
  std::uint8_t generation = 0;
  InterruptCause cause{};
  Vector vector_count = 0;
  bool lacks_vectors = false;
  bool refuses = false;   // whatever features it is asked for
  bool restless = false;  // its configuration changes whenever it is read
  bool gone = false;
  unsigned resets_late = 0;  // so many looks at its status

 private:
  template <class T>
  T get(std::size_t offset) const {
    T value = 0;
    if (offset + sizeof(T) <= config.size()) std::memcpy(&value, config.data() + offset, sizeof(T));
    return value;
  }
  template <class T>
  static T load(BusAddress address) {
    T value;
    std::memcpy(&value, at(address), sizeof value);
    return value;
  }
  template <class T>
  static void store(BusAddress address, T value) {
    std::memcpy(at(address), &value, sizeof value);
  }

  void finish_reset() {
    resetting_ = went_ = false;
    status_ = 0;
    accepted = 0;
    cause = {};
    for (Queue& queue : queues) queue = {.limit = queue.limit};
  }

  struct Descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t first;   // split: flags; packed: id
    std::uint16_t second;  // split: next; packed: flags
  };
  // 2.7.5.3, 2.8.7: what is offered, and its table.
  void take(Held& held, std::uint64_t address, std::uint32_t length, std::uint16_t flags) {
    CHECK(length != 0 && memory_.contains(address, length));
    const bool writes = (flags & descriptor_flag::write) != 0;
    CHECK(writes || held.written.empty());
    (writes ? held.written : held.read).push_back({address, length});
  }
  bool pop(Queue& queue) { return is_packed() ? pop_packed(queue) : pop_split(queue); }
  bool pop_split(Queue& queue) {
    const QueueSetup& setup = queue.setup;
    const auto shown = load<std::uint16_t>(setup.addresses.driver + 2);
    if (shown == static_cast<std::uint16_t>(queue.popped)) return false;
    CHECK(static_cast<std::uint16_t>(shown - queue.popped) <= setup.size);
    Held held;
    held.id = load<std::uint16_t>(setup.addresses.driver + 4 + 2 * (queue.popped++ % setup.size));
    BusAddress table = setup.addresses.descriptors;
    std::uint32_t entries = setup.size;
    std::uint16_t next = held.id;
    for (bool indirect = false;;) {
      CHECK(next < entries);
      const auto entry = load<Descriptor>(table + 16 * next);
      if (!indirect) ++held.descriptors;
      CHECK(held.read.size() + held.written.size() < setup.size);
      if ((entry.first & descriptor_flag::indirect) != 0) {
        CHECK(!indirect && entry.first == descriptor_flag::indirect && entry.length % 16 == 0);
        CHECK(memory_.contains(entry.address, entry.length));
        indirect = true;
        table = entry.address;
        entries = entry.length / 16;
        next = 0;
        continue;
      }
      take(held, entry.address, entry.length, entry.first);
      if ((entry.first & descriptor_flag::next) == 0) break;
      next = entry.second;
    }
    queue.held.push_back(std::move(held));
    return true;
  }
  // 2.8.1: both counters start at 1.
  static bool wraps(std::uint64_t position, std::uint16_t size) { return position / size % 2 == 0; }
  bool pop_packed(Queue& queue) {
    constexpr std::uint16_t available = 1 << 7;
    constexpr std::uint16_t used = 1 << 15;
    const QueueSetup& setup = queue.setup;
    Held held;
    for (;;) {
      const auto entry =
          load<Descriptor>(setup.addresses.descriptors + 16 * (queue.popped % setup.size));
      const std::uint16_t flags = entry.second;
      if (held.descriptors == 0) {
        const bool is_available = (flags & available) != 0;
        if (is_available == ((flags & used) != 0) ||
            is_available != wraps(queue.popped, setup.size))
          return false;
      }
      ++queue.popped;
      CHECK(++held.descriptors <= setup.size);
      held.id = entry.first;
      if ((flags & descriptor_flag::indirect) != 0) {
        CHECK(held.descriptors == 1 && (flags & descriptor_flag::next) == 0);
        CHECK(entry.length % 16 == 0 && memory_.contains(entry.address, entry.length));
        for (BusAddress in = entry.address; in != entry.address + entry.length; in += 16) {
          const auto each = load<Descriptor>(in);
          take(held, each.address, each.length, each.second);
        }
        break;
      }
      take(held, entry.address, entry.length, flags);
      if ((flags & descriptor_flag::next) == 0) break;
    }
    queue.held.push_back(std::move(held));
    return true;
  }
  void show(Queue& queue, std::uint32_t id, std::uint32_t written, std::uint16_t descriptors,
            bool writes) {
    const QueueSetup& setup = queue.setup;
    if (is_packed()) {
      const BusAddress entry = setup.addresses.descriptors + 16 * (queue.used % setup.size);
      store(entry + 8, written);
      store(entry + 12, static_cast<std::uint16_t>(id));
      const unsigned flags = (wraps(queue.used, setup.size) ? 1U << 7 | 1U << 15 : 0U) |
                             (writes ? descriptor_flag::write : 0U);
      store(entry + 14, static_cast<std::uint16_t>(flags));
      queue.used += descriptors;
    } else {
      const BusAddress element = setup.addresses.device + 4 + 8 * (queue.used++ % setup.size);
      store(element, id);
      store(element + 4, written);
      store(setup.addresses.device + 2, static_cast<std::uint16_t>(queue.used));
    }
    cause.queues = true;
  }

  LentMemory& memory_;
  std::uint8_t status_ = 0;
  bool resetting_ = false;
  bool went_ = false;  // and nobody has reset it since
};

}  // namespace lichen::fuzz
