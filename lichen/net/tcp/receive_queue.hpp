// What has arrived and the app has not taken: views into the buffers of whoever received them, in
// order, and those that came too early. Memory is bounded: small pieces are put together, what does
// not fit is dropped and will be sent again.
//
// Pieces that came early and touch are a run. Its first and its last piece know each other, so that
// a place is found by runs, of which there are as many as may be, however many pieces they have.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/base/list.hpp"
#include "lichen/io/buffer.hpp"
#include "lichen/net/tcp/memory.hpp"
#include "lichen/net/tcp/sequence.hpp"
#include "lichen/net/wire/tcp.hpp"

namespace lichen::net::tcp {

struct Piece {
  base::ListNode node;
  io::Buffer buffer;
  Seq begin;
  std::uint32_t charge = 0;    // the memory it keeps from others
  Piece* run_first = nullptr;  // of an early run's last piece
  Piece* run_last = nullptr;   // of its first piece

  [[nodiscard]] Seq end() const noexcept {
    return begin + static_cast<std::uint32_t>(buffer.size());
  }
};

// The pieces of one stack, and the memory that all of them keep.
class PiecePool : public Pool<Piece> {
 public:
  // `bytes_most`: when so many are kept, no queue may have more than it began with.
  PiecePool(Memory& memory, std::size_t most, std::size_t bytes_most) noexcept
      : Pool{memory, most}, bytes_most_{bytes_most} {}

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  // Whether there is so much left, with `other` bytes in use elsewhere, that connections may be
  // promised more.
  [[nodiscard]] bool is_ample(std::size_t other) const noexcept {
    return bytes_ + other < bytes_most_ / 2;
  }
  [[nodiscard]] bool is_exhausted() const noexcept { return bytes_ >= bytes_most_; }
  void charge(std::size_t bytes) noexcept { bytes_ += bytes; }
  void discharge(std::size_t bytes) noexcept { bytes_ -= bytes; }

 private:
  std::size_t bytes_most_;
  std::size_t bytes_ = 0;
};

enum class Arrival : std::uint8_t {
  in_order,
  filled,     // in order, and what came early is in order with it
  early,      // kept for later
  duplicate,  // nothing of it was new
  dropped,    // no room or no memory
};

class ReceiveQueue {
 public:
  // `memory_most`: what all pieces may keep; `runs_most`: how many runs may be early.
  ReceiveQueue(PiecePool& pieces, std::size_t memory_most, std::uint32_t runs_most) noexcept
      : pieces_{pieces},
        runs_most_{runs_most},
        memory_most_{memory_most},
        memory_sure_{memory_most} {}
  ReceiveQueue(const ReceiveQueue&) = delete;
  ReceiveQueue& operator=(const ReceiveQueue&) = delete;
  ~ReceiveQueue() { clear(); }

  // What pieces of so many bytes may keep: of two neighbours that could not be put together one is
  // at least half full, and there may be two as large as a device makes them beside.
  [[nodiscard]] static constexpr std::size_t memory_for(std::uint32_t bytes) noexcept {
    return 2 * std::size_t{bytes} + std::min<std::size_t>(4 * std::size_t{bytes}, 160 * 1024);
  }

  void start(Seq first) noexcept { next_ = first; }
  // What is there already stays. `sure`: of it, also when the stack has no more to give.
  void set_memory_most(std::size_t most, std::size_t sure) noexcept {
    memory_most_ = most;
    memory_sure_ = std::min(most, sure);
  }
  // The first byte that has not arrived.
  [[nodiscard]] Seq next() const noexcept { return next_; }
  // Bytes in order.
  [[nodiscard]] std::uint32_t readable() const noexcept { return readable_; }
  [[nodiscard]] std::size_t memory() const noexcept { return memory_; }

  // Bytes that begin at `begin`, not empty, and lie inside the window.
  Arrival add(Seq begin, io::Buffer buffer) noexcept;
  // A SYN or FIN was taken: one number without a byte.
  void skip() noexcept { next_ += 1; }
  // The next bytes in order; empty when there are none.
  io::Buffer take() noexcept;
  // Copies and takes as much as fits.
  std::size_t read(std::span<std::byte> into) noexcept;
  void clear() noexcept;
  // Drops what came early and lies at or behind `from`.
  void drop_early_from(Seq from) noexcept;

  // The blocks to report, the latest first (RFC 2018 section 4), a duplicate before them, once (RFC
  // 2883). Returns how many were written.
  std::size_t report(std::span<wire::SackBlock> blocks) noexcept;
  [[nodiscard]] bool has_report() const noexcept {
    return recent_count_ > 0 || duplicate_.has_value();
  }
  // What does not agree, null when all does. For tests.
  [[nodiscard]] const char* broken() noexcept;
  void note_duplicate(Seq begin, Seq end) noexcept {
    duplicate_ = wire::SackBlock{begin.value, end.value};
  }

 private:
  struct Range {
    Seq begin;
    Seq end;
  };
  using Pieces = base::List<Piece, &Piece::node>;

  bool merge(Piece* before, Seq begin, io::Buffer& buffer) noexcept;
  Piece* make(Seq begin, io::Buffer& buffer) noexcept;
  void give_back(Piece& piece) noexcept;
  bool forget_last_early() noexcept;
  bool make_room(std::size_t charge) noexcept;
  [[nodiscard]] bool has_room(std::size_t charge) const noexcept {
    return memory_ + charge <= (pieces_.is_exhausted() ? memory_sure_ : memory_most_);
  }
  Piece* pop_last_early() noexcept;
  Arrival add_early(Seq begin, io::Buffer buffer) noexcept;
  bool take_over_early() noexcept;
  void reported(Seq begin, Seq end) noexcept;
  void forget_reported() noexcept;
  void find_reported() noexcept;

  PiecePool& pieces_;
  Pieces ready_;
  Pieces early_;
  Seq next_;
  std::uint32_t readable_ = 0;
  std::uint32_t runs_ = 0;
  std::uint32_t runs_most_;
  std::size_t memory_ = 0;
  std::size_t memory_most_;
  std::size_t memory_sure_;
  std::array<Range, wire::TcpOptions::max_sack_blocks> recent_;
  std::size_t recent_count_ = 0;
  std::optional<wire::SackBlock> duplicate_;
};

}  // namespace lichen::net::tcp
