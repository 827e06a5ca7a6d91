// The connections of one core by their paths: chains through the connections themselves, no lock,
// no allocation after create(). Whoever chooses the paths cannot choose the chains (keyed hash).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lichen/net/tcp/connection.hpp"
#include "lichen/net/tcp/memory.hpp"

namespace lichen::net::tcp {

class Table {
 public:
  // `most`: how many connections are expected at most; more make the chains longer.
  Table(Memory& memory, std::size_t most) noexcept : memory_{memory} {
    const std::size_t size = std::bit_ceil(most < 16 ? std::size_t{16} : most);
    buckets_ = static_cast<Connection**>(memory_.allocate(size * sizeof(Connection*)));
    if (buckets_ == nullptr) return;
    std::memset(buckets_, 0, size * sizeof(Connection*));
    mask_ = size - 1;
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() {
    if (buckets_ != nullptr) memory_.free(buckets_, (mask_ + 1) * sizeof(Connection*));
  }

  // False: there was no memory, and the table MUST NOT be used.
  [[nodiscard]] bool created() const noexcept { return buckets_ != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // `hash` MUST be the one it was inserted with.
  [[nodiscard]] Connection* find(const Path& path, std::uint64_t hash) const noexcept {
    for (Connection* at = buckets_[hash & mask_]; at != nullptr; at = at->next_in_table)
      if (at->hash == hash && at->path() == path) return at;
    return nullptr;
  }

  void insert(Connection& connection, std::uint64_t hash) noexcept {
    connection.hash = hash;
    connection.next_in_table = buckets_[hash & mask_];
    buckets_[hash & mask_] = &connection;
    ++size_;
  }

  // MUST be in the table.
  void erase(Connection& connection) noexcept {
    Connection** at = &buckets_[connection.hash & mask_];
    while (*at != &connection) at = &(*at)->next_in_table;
    *at = connection.next_in_table;
    --size_;
  }

  template <class Visit>
  void for_each(Visit&& visit) noexcept {
    for (std::size_t i = 0; i <= mask_; ++i)
      for (Connection* at = buckets_[i]; at != nullptr;) {
        Connection* next = at->next_in_table;
        visit(*at);
        at = next;
      }
  }

 private:
  Memory& memory_;
  Connection** buckets_ = nullptr;
  std::size_t mask_ = 0;
  std::size_t size_ = 0;
};

}  // namespace lichen::net::tcp
