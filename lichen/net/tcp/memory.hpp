// Where connections have their memory from: pools over an injected source. Once a pool has grown to
// what the load needs, nothing is allocated any more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "lichen/io/buffer.hpp"

namespace lichen::net::tcp {

// The source of memory of one stack. Called on the stack's core only.
class Memory {
 public:
  // Aligned as by malloc; null when there is none.
  virtual void* allocate(std::size_t size) noexcept = 0;
  virtual void free(void* memory, std::size_t size) noexcept = 0;

 protected:
  ~Memory() = default;
};

// Objects of one type, at most `most` at a time. All MUST have been given back before it is
// destroyed.
template <class T>
class Pool {
 public:
  Pool(Memory& memory, std::size_t most) noexcept : memory_{memory}, most_{most} {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    while (slabs_ != nullptr) {
      Slab* slab = std::exchange(slabs_, slabs_->next);
      memory_.free(slab, sizeof(Slab));
    }
  }

  // Null when there is no memory or as many exist as may.
  template <class... Args>
  [[nodiscard]] T* make(Args&&... args) noexcept {
    if (free_ == nullptr && !grow()) return nullptr;
    Slot* slot = free_;
    free_ = slot->next;
    ++used_;
    return std::construct_at(&slot->object, std::forward<Args>(args)...);
  }

  void give_back(T& object) noexcept {
    std::destroy_at(&object);
    auto* slot = reinterpret_cast<Slot*>(&object);
    slot->next = free_;
    free_ = slot;
    --used_;
  }

  [[nodiscard]] std::size_t used() const noexcept { return used_; }

 private:
  union Slot {
    Slot() noexcept : next{nullptr} {}
    ~Slot() {}
    Slot* next;
    T object;
  };
  // About a page at a time, or two of what would waste much of one.
  static constexpr std::size_t slab_size = sizeof(T) > 1024 ? 8192 : 4096;
  static constexpr std::size_t slab_slots =
      sizeof(T) >= 4080 ? 2 : (slab_size - sizeof(void*)) / sizeof(T);
  struct Slab {
    Slab* next;
    std::array<Slot, slab_slots> slots;
  };

  bool grow() noexcept {
    if (made_ >= most_) return false;
    void* memory = memory_.allocate(sizeof(Slab));
    if (memory == nullptr) return false;
    auto* slab = new (memory) Slab;
    slab->next = slabs_;
    slabs_ = slab;
    for (Slot& slot : slab->slots) {
      if (made_ == most_) break;
      slot.next = free_;
      free_ = &slot;
      ++made_;
    }
    return true;
  }

  Memory& memory_;
  std::size_t most_;
  std::size_t made_ = 0;
  std::size_t used_ = 0;
  Slot* free_ = nullptr;
  Slab* slabs_ = nullptr;
};

// Blocks that what an app writes is copied into. They never leave the stack, so they come back on
// its core.
class BlockPool final : public io::BufferOwner {
 public:
  static constexpr std::size_t block_size = 4096;

  BlockPool(Memory& memory, std::size_t most) noexcept : blocks_{memory, most} {}

  // Without room when there is no memory.
  [[nodiscard]] io::Buffer take() noexcept {
    Block* block = blocks_.make();
    if (block == nullptr) return {};
    return io::Buffer{*this, block->bytes, 0};
  }
  void give_back(std::span<std::byte> whole) noexcept override {
    blocks_.give_back(*reinterpret_cast<Block*>(whole.data()));
  }
  [[nodiscard]] std::size_t used() const noexcept { return blocks_.used(); }

 private:
  struct Block {
    Block() noexcept {}  // what it holds is written before it is read
    alignas(16) std::byte bytes[block_size];
  };
  Pool<Block> blocks_;
};

}  // namespace lichen::net::tcp
