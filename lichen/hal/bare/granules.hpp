// GranuleSet: which granules of a range are in use. Private to hal.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/bits.hpp"

namespace lichen::hal::detail {

// A bit for each granule, in memory of the caller's. Not thread-safe.
class GranuleSet {
 public:
  static constexpr std::size_t none = SIZE_MAX;

  constexpr GranuleSet() noexcept = default;
  explicit constexpr GranuleSet(std::span<std::uint64_t> words) noexcept
      : words_{words}, count_{words.size() * 64} {}

  // `need` granules in a row; the index of the first is a multiple of `alignment` away from
  // `phase`. First fit.
  [[nodiscard]] std::size_t take(std::size_t need, std::size_t alignment,
                                 std::size_t phase = 0) noexcept {
    std::size_t at = first_free_ = find(false, first_free_);
    while (at < count_) {
      at += (alignment - (at + phase) % alignment) % alignment;
      if (at >= count_ || need > count_ - at) break;
      const std::size_t end = find(true, at, at + need);
      if (end - at >= need) {
        mark(at, need);
        return at;
      }
      at = find(false, end);
    }
    return none;
  }
  void mark(std::size_t at, std::size_t count) noexcept {
    each_word(at, count, [&](std::uint64_t& word, std::uint64_t bits) {
      word |= bits;
      return true;
    });
    used_ += count;
  }
  // False if one of them was not in use.
  bool give_back(std::size_t at, std::size_t count) noexcept {
    const bool all = each_word(at, count, [](std::uint64_t& word, std::uint64_t bits) {
      const bool used = (word & bits) == bits;
      if (used) word &= ~bits;
      return used;
    });
    if (!all) return false;
    used_ -= count;
    first_free_ = std::min(first_free_, at);
    return true;
  }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  // Calls visit(word, its bits) for a range, until it says false.
  template <class Visit>
  bool each_word(std::size_t at, std::size_t count, Visit visit) noexcept {
    for (const std::size_t end = at + count; at < end;) {
      const std::size_t here = std::min(end - at, 64 - at % 64);
      if (!visit(words_[at / 64], ~std::uint64_t{0} >> (64 - here) << (at % 64))) return false;
      at += here;
    }
    return true;
  }
  // The first granule from `from` to `end` that is in use (or not); the end of the set, or one at
  // or after `end`, if there is none.
  [[nodiscard]] std::size_t find(bool used, std::size_t from, std::size_t end) const noexcept {
    for (std::size_t i = from; i < std::min(end, count_); i = base::align_down(i, 64) + 64) {
      const std::uint64_t word = (used ? words_[i / 64] : ~words_[i / 64]) >> (i % 64);
      if (word != 0) return i + static_cast<std::size_t>(std::countr_zero(word));
    }
    return std::min(std::max(end, from), count_);
  }
  [[nodiscard]] std::size_t find(bool used, std::size_t from) const noexcept {
    return find(used, from, count_);
  }

  std::span<std::uint64_t> words_{};
  std::size_t count_ = 0;
  std::size_t used_ = 0;
  std::size_t first_free_ = 0;  // none below is free
};

}  // namespace lichen::hal::detail
