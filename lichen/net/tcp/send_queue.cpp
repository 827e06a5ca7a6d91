#include "lichen/net/tcp/send_queue.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace lichen::net::tcp {

void ChunkPool::give_back(Chunk& chunk) noexcept {
  const Loans loans = output_ == nullptr ? Loans{} : output_->loans();
  if (loans.returned == loans.lent) {
    pool_.give_back(chunk);
    return;
  }
  chunk.loan = loans.lent;
  lent_.push_back(chunk);
}

void ChunkPool::sweep() noexcept {
  if (lent_.front() == nullptr) return;
  const std::uint64_t returned = output_->loans().returned;
  while (Chunk* chunk = lent_.front()) {
    if (chunk->loan > returned) break;
    lent_.pop_front();
    pool_.give_back(*chunk);
  }
}

void ChunkPool::clear() noexcept {
  while (Chunk* chunk = lent_.pop_front()) pool_.give_back(*chunk);
}

std::size_t SendQueue::write(std::span<const std::byte> bytes, bool more) noexcept {
  std::size_t written = 0;
  while (written < bytes.size()) {
    if (tail_ == nullptr || !tail_->ours || tail_->record || tail_->buffer.room().empty()) {
      io::Buffer block = blocks_.take();
      if (block.room().empty()) break;
      Chunk* chunk = chunks_.make();
      if (chunk == nullptr) break;
      chunk->buffer = std::move(block);
      chunk->begin = end_;
      chunk->ours = true;
      queue_.push_back(*chunk);
      tail_ = chunk;
    }
    const auto room = tail_->buffer.room();
    const std::size_t size = std::min(room.size(), bytes.size() - written);
    std::memcpy(room.data(), bytes.data() + written, size);
    tail_->buffer.extend(size);
    tail_->push = false;
    end_ += static_cast<std::uint32_t>(size);
    written += size;
  }
  if (written > 0) tail_->push = !more;
  return written;
}

bool SendQueue::append(io::Buffer& buffer) noexcept {
  Chunk* chunk = chunks_.make();
  if (chunk == nullptr) return false;
  chunk->buffer = std::move(buffer);
  chunk->begin = end_;
  chunk->push = true;
  end_ += static_cast<std::uint32_t>(chunk->buffer.size());
  queue_.push_back(*chunk);
  tail_ = chunk;
  return true;
}

void SendQueue::end_record() noexcept {
  if (tail_ == nullptr || tail_->record) return;
  tail_->record = tail_->push = true;
  ++records_;
}

std::uint32_t SendQueue::record_rest(Seq from) noexcept {
  if (records_ == 0) return end_ - from;
  const Chunk* chunk = chunk_at(from);
  while (!chunk->record && chunk->next != nullptr) chunk = chunk->next;
  return chunk->end() - from;
}

void SendQueue::release(Seq upto) noexcept {
  assert(upto <= end_);
  while (Chunk* chunk = queue_.front()) {
    if (chunk->end() > upto) break;
    queue_.pop_front();
    if (chunk == cursor_) cursor_ = nullptr;
    if (chunk == tail_) tail_ = nullptr;
    if (chunk->record) --records_;
    chunks_.give_back(*chunk);
  }
  begin_ = upto;
}

void SendQueue::clear() noexcept {
  while (Chunk* chunk = queue_.pop_front()) chunks_.give_back(*chunk);
  tail_ = cursor_ = nullptr;
  begin_ = end_;
  records_ = 0;
}

Chunk* SendQueue::chunk_at(Seq from) noexcept {
  Chunk* chunk = cursor_ != nullptr && cursor_->begin <= from ? cursor_ : queue_.front();
  while (chunk->end() <= from) chunk = chunk->next;
  return chunk;
}

SendQueue::Gathered SendQueue::gather(Seq from, std::uint32_t size,
                                      std::span<std::span<const std::byte>> pieces) noexcept {
  assert(from >= begin_ && from + size <= end_);
  Gathered gathered;
  if (size == 0) return gathered;
  Chunk* chunk = chunk_at(from);
  for (;;) {
    const auto bytes = chunk->buffer.bytes().subspan(from + gathered.size - chunk->begin);
    const std::size_t taken = std::min<std::size_t>(bytes.size(), size - gathered.size);
    pieces[gathered.pieces++] = bytes.first(taken);
    gathered.size += static_cast<std::uint32_t>(taken);
    gathered.push = chunk->push && taken == bytes.size();
    cursor_ = chunk;
    gathered.record = chunk->record && taken == bytes.size();
    if (gathered.size == size || gathered.pieces == pieces.size() || gathered.record)
      return gathered;
    chunk = chunk->next;
  }
}

}  // namespace lichen::net::tcp
