// What the app has sent and the peer has not acknowledged: a chain of buffers, borrowed until then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/queue.hpp"
#include "lichen/io/buffer.hpp"
#include "lichen/net/tcp/memory.hpp"
#include "lichen/net/tcp/output.hpp"
#include "lichen/net/tcp/sequence.hpp"

namespace lichen::net::tcp {

struct Chunk {
  Chunk* next = nullptr;
  io::Buffer buffer;
  Seq begin;
  bool ours = false;       // of our pool: there may be room behind the bytes
  bool push = false;       // a write ended with its last byte
  bool record = false;     // and what follows goes in other segments
  std::uint64_t loan = 0;  // in a ChunkPool: the last one that may need the bytes

  [[nodiscard]] Seq end() const noexcept {
    return begin + static_cast<std::uint32_t>(buffer.size());
  }
};

// The chunks of one stack, and those that no connection needs any more while the output may still
// read their bytes.
class ChunkPool {
 public:
  // Null: the output borrows nothing.
  ChunkPool(Memory& memory, std::size_t most, const Output* output) noexcept
      : pool_{memory, most}, output_{output} {}
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool() { clear(); }

  // Null when there is no memory or as many exist as may.
  [[nodiscard]] Chunk* make() noexcept {
    sweep();
    return pool_.make();
  }
  void give_back(Chunk& chunk) noexcept;
  // Frees what has come back.
  void sweep() noexcept;
  // The output MUST NOT read any more.
  void clear() noexcept;

  [[nodiscard]] std::size_t used() const noexcept { return pool_.used(); }

 private:
  Pool<Chunk> pool_;
  const Output* output_;
  base::Queue<Chunk, &Chunk::next> lent_;  // in the order of their loans
};

class SendQueue {
 public:
  SendQueue(ChunkPool& chunks, BlockPool& blocks) noexcept : chunks_{chunks}, blocks_{blocks} {}
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;
  ~SendQueue() { clear(); }

  // The number of the first byte that will be queued. MUST be empty.
  void start(Seq first) noexcept { begin_ = end_ = first; }
  [[nodiscard]] Seq end() const noexcept { return end_; }
  [[nodiscard]] std::uint32_t size() const noexcept { return end_ - begin_; }

  // Copies as much as there is memory for; returns how much.
  // `more`: the write does not end here.
  std::size_t write(std::span<const std::byte> bytes, bool more = false) noexcept;
  // Takes the buffer, which MUST NOT be empty; false, with the buffer untouched, for want of
  // memory.
  bool append(io::Buffer& buffer) noexcept;

  // What follows goes in other segments than what is there.
  void end_record() noexcept;
  // How many bytes from `from` on, which MUST lie in the queue, may share segments.
  [[nodiscard]] std::uint32_t record_rest(Seq from) noexcept;

  // Everything before `upto` is acknowledged.
  void release(Seq upto) noexcept;
  void clear() noexcept;

  struct Gathered {
    std::uint32_t size = 0;
    std::size_t pieces = 0;
    bool push = false;    // a write ends where this ends
    bool record = false;  // and what follows goes in other segments
  };
  // The bytes from `from` on, which MUST NOT lie before what was released: `size` of them, or as
  // many as `pieces` can name and go together. MUST NOT reach past the end.
  Gathered gather(Seq from, std::uint32_t size,
                  std::span<std::span<const std::byte>> pieces) noexcept;

 private:
  Chunk* chunk_at(Seq from) noexcept;

  ChunkPool& chunks_;
  BlockPool& blocks_;
  base::Queue<Chunk, &Chunk::next> queue_;
  Chunk* tail_ = nullptr;    // the last of the queue; null when that is empty
  Chunk* cursor_ = nullptr;  // where the last gathering ended: the next mostly begins there
  Seq begin_;
  Seq end_;
  std::uint32_t records_ = 0;  // chunks that end one
};

}  // namespace lichen::net::tcp
