// The connections of one core by their paths: chains through the connections themselves, no lock.
// Whoever chooses the paths cannot choose the chains (keyed hash). The table grows with what is in
// it, one chain at a time (linear hashing: Litwin, 1980), so no insertion waits for many to be
// moved, and its memory comes in small pieces. It does not become smaller again.
//
//   directory ──> segment: chain 0 .. 255
//             ──> segment: chain 256 .. 511      the next to be cut in two is chains_ - half_
//             ──> (not yet)
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lichen/net/tcp/connection.hpp"
#include "lichen/net/tcp/memory.hpp"

namespace lichen::net::tcp {

class Table {
 public:
  static constexpr std::size_t segment_chains = 256;

  // `most`: how many connections are expected at most; more make the chains longer.
  Table(Memory& memory, std::size_t most) noexcept
      : memory_{memory}, segments_most_{std::max<std::size_t>(std::bit_ceil(most), 1)} {
    segments_most_ = std::max<std::size_t>(segments_most_ / segment_chains, 1);
    const std::size_t size = segments_most_ * sizeof(Connection**);
    directory_ = static_cast<Connection***>(memory_.allocate(size));
    if (directory_ == nullptr) return;
    std::memset(directory_, 0, size);
    if (add_segment()) chains_ = half_ = least_chains;
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() {
    if (directory_ == nullptr) return;
    for (std::size_t i = 0; i < segments_; ++i) memory_.free(directory_[i], segment_size);
    memory_.free(directory_, segments_most_ * sizeof(Connection**));
  }

  // False: there was no memory, and the table MUST NOT be used.
  [[nodiscard]] bool created() const noexcept { return chains_ > 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t chains() const noexcept { return chains_; }

  // `hash` MUST be the one it was inserted with.
  [[nodiscard]] Connection* find(const Path& path, std::uint64_t hash) const noexcept {
    for (Connection* at = chain_of(hash); at != nullptr; at = at->next_in_table)
      if (at->hash == hash && at->path() == path) return at;
    return nullptr;
  }

  void insert(Connection& connection, std::uint64_t hash) noexcept {
    if (size_ >= chains_) grow();
    connection.hash = hash;
    Connection*& chain = chain_of(hash);
    connection.next_in_table = chain;
    chain = &connection;
    ++size_;
  }

  // MUST be in the table.
  void erase(Connection& connection) noexcept {
    Connection** at = &chain_of(connection.hash);
    while (*at != &connection) at = &(*at)->next_in_table;
    *at = connection.next_in_table;
    --size_;
  }

  // `visit` may erase what it is given.
  template <class Visit>
  void for_each(Visit&& visit) noexcept {
    for (std::size_t i = 0; i < chains_; ++i)
      for (Connection* at = chain(i); at != nullptr;) {
        Connection* next = at->next_in_table;
        visit(*at);
        at = next;
      }
  }

 private:
  static constexpr std::size_t least_chains = 16;
  static constexpr std::size_t segment_size = segment_chains * sizeof(Connection*);

  [[nodiscard]] Connection*& chain(std::size_t i) const noexcept {
    return directory_[i / segment_chains][i % segment_chains];
  }

  // Of those that were not cut yet in this round half as many are told apart.
  [[nodiscard]] Connection*& chain_of(std::uint64_t hash) const noexcept {
    const std::size_t i = hash & (half_ * 2 - 1);
    return chain(i < chains_ ? i : hash & (half_ - 1));
  }

  bool add_segment() noexcept {
    if (segments_ == segments_most_) return false;
    void* memory = memory_.allocate(segment_size);
    if (memory == nullptr) return false;
    std::memset(memory, 0, segment_size);
    directory_[segments_++] = static_cast<Connection**>(memory);
    return true;
  }

  // Cuts one chain in two. Without memory all stays as it is.
  void grow() noexcept {
    if (chains_ == segments_ * segment_chains && !add_segment()) return;
    Connection** from = &chain(chains_ - half_);
    Connection*& into = chain(chains_);
    while (Connection* at = *from) {
      if ((at->hash & half_) == 0) {
        from = &at->next_in_table;
        continue;
      }
      *from = at->next_in_table;
      at->next_in_table = into;
      into = at;
    }
    if (++chains_ == half_ * 2) half_ *= 2;
  }

  Memory& memory_;
  std::size_t segments_most_;
  Connection*** directory_ = nullptr;
  std::size_t segments_ = 0;
  std::size_t chains_ = 0;
  std::size_t half_ = 0;  // a power of two: half_ <= chains_ < 2 * half_
  std::size_t size_ = 0;
};

}  // namespace lichen::net::tcp
