// SlotSet: which of a row of equal pieces of memory are free.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>

#include "lichen/base/bits.hpp"
#include "lichen/base/result.hpp"

namespace lichen::driver::virtio {

// Belongs to one core; only give_back() may be called on any.
class SlotSet {
 public:
  // All are free. Errors: no_memory.
  static Result<SlotSet> create(unsigned count) noexcept {
    SlotSet set;
    set.words_ = base::divide_up(count, 64U);
    set.free_.reset(new (std::nothrow) std::uint64_t[set.words_]{});
    set.returned_.reset(new (std::nothrow) std::atomic<std::uint64_t>[set.words_] {});
    if (!set.free_ || !set.returned_) return Error::no_memory;
    for (unsigned i = 0; i < count; ++i) set.put(i);
    return set;
  }

  // The next free one behind the one that was taken last, wrapping round: what is taken in a row
  // lies side by side if it can.
  std::optional<unsigned> take() noexcept {
    // Once more round than there are words: of the first only the upper part is looked at.
    std::uint64_t mask = ~std::uint64_t{0} << (next_ % 64);
    for (unsigned i = 0, word = next_ / 64 % words_; i <= words_; ++i, word = (word + 1) % words_) {
      if (const std::uint64_t found = free_[word] & mask) {
        const unsigned bit = static_cast<unsigned>(std::countr_zero(found));
        free_[word] &= ~(std::uint64_t{1} << bit);
        const unsigned slot = word * 64 + bit;
        next_ = (slot + 1) % (words_ * 64);
        return slot;
      }
      mask = ~std::uint64_t{0};
    }
    return std::nullopt;
  }
  void put(unsigned slot) noexcept { free_[slot / 64] |= std::uint64_t{1} << (slot % 64); }

  void put(unsigned first, unsigned count) noexcept {
    for_words(first, count, [&](unsigned word, std::uint64_t bits) { free_[word] |= bits; });
  }

  // On any core; they are free after collect().
  void give_back(unsigned first, unsigned count = 1) noexcept {
    for_words(first, count,
              [&](unsigned word, std::uint64_t bits) { returned_[word].fetch_or(bits); });
  }
  void collect() noexcept {
    for (unsigned i = 0; i < words_; ++i)
      if (returned_[i].load(std::memory_order_relaxed) != 0) free_[i] |= returned_[i].exchange(0);
  }

 private:
  template <class Use>
  static void for_words(unsigned first, unsigned count, Use use) noexcept {
    while (count != 0) {
      const unsigned at = first % 64;
      const unsigned some = count < 64 - at ? count : 64 - at;
      use(first / 64, ~std::uint64_t{0} >> (64 - some) << at);
      first += some;
      count -= some;
    }
  }

  std::unique_ptr<std::uint64_t[]> free_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> returned_;
  unsigned words_ = 0;
  unsigned next_ = 0;
};

}  // namespace lichen::driver::virtio
