#include "lichen/net/tcp/receive_queue.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lichen::net::tcp {

namespace {

// Copied into the room behind its neighbour rather than kept in a buffer of its own.
constexpr std::size_t small_piece = 256;

std::uint32_t charge_of(const io::Buffer& buffer) noexcept {
  return static_cast<std::uint32_t>(buffer.size() + buffer.room().size() + sizeof(Piece));
}

}  // namespace

void ReceiveQueue::give_back(Piece& piece) noexcept {
  memory_ -= piece.charge;
  pieces_.give_back(piece);
}

// Puts the bytes behind those of `before`, if they follow and fit there.
bool ReceiveQueue::merge(Piece* before, Seq begin, io::Buffer& buffer) noexcept {
  if (before == nullptr || before->end() != begin) return false;
  const auto room = before->buffer.room();
  if (room.size() < buffer.size()) return false;
  if (buffer.size() > small_piece && memory_ + charge_of(buffer) <= memory_most_) return false;
  std::memcpy(room.data(), buffer.bytes().data(), buffer.size());
  before->buffer.extend(buffer.size());
  buffer.release();
  return true;
}

Piece* ReceiveQueue::make(Seq begin, io::Buffer& buffer) noexcept {
  const std::uint32_t charge = charge_of(buffer);
  Piece* piece = pieces_.make();
  if (piece == nullptr) return nullptr;
  piece->buffer = std::move(buffer);
  piece->begin = begin;
  piece->charge = charge;
  memory_ += charge;
  return piece;
}

// What came early may be forgotten again (RFC 2018 section 8) for what is in order.
bool ReceiveQueue::forget_last_early() noexcept {
  Piece* last = early_.pop_back();
  if (last == nullptr) return false;
  give_back(*last);
  --early_count_;
  find_reported();
  return true;
}

bool ReceiveQueue::make_room(std::size_t charge) noexcept {
  while (memory_ + charge > memory_most_ && forget_last_early()) {
  }
  // A buffer greater than the limit is taken if it is alone.
  return memory_ + charge <= memory_most_ || memory_ == 0;
}

Arrival ReceiveQueue::add(Seq begin, io::Buffer buffer) noexcept {
  const Seq end = begin + static_cast<std::uint32_t>(buffer.size());
  if (end <= next_) {
    note_duplicate(begin, end);
    return Arrival::duplicate;
  }
  if (begin < next_) {
    note_duplicate(begin, next_);
    buffer.consume(next_ - begin);
    begin = next_;
  }
  if (begin != next_) return add_early(begin, std::move(buffer));

  const std::uint32_t size = end - begin;
  if (!merge(ready_.back(), begin, buffer)) {
    if (!make_room(charge_of(buffer))) return Arrival::dropped;
    Piece* piece = make(begin, buffer);
    while (piece == nullptr && forget_last_early()) piece = make(begin, buffer);
    if (piece == nullptr) return Arrival::dropped;
    ready_.push_back(*piece);
  }
  next_ += size;
  readable_ += size;
  if (early_.empty()) return Arrival::in_order;
  const bool filled = take_over_early();
  forget_reported();
  // RFC 5681 section 4.2: also what fills a part of a gap is acknowledged at once.
  return filled || !early_.empty() ? Arrival::filled : Arrival::in_order;
}

bool ReceiveQueue::take_over_early() noexcept {
  bool any = false;
  while (Piece* piece = early_.front()) {
    if (piece->begin > next_) break;
    early_.pop_front();
    --early_count_;
    any = true;
    if (piece->end() <= next_) {
      give_back(*piece);
      continue;
    }
    piece->buffer.consume(next_ - piece->begin);
    piece->begin = next_;
    readable_ += static_cast<std::uint32_t>(piece->buffer.size());
    next_ = piece->end();
    ready_.push_back(*piece);
  }
  return any;
}

Arrival ReceiveQueue::add_early(Seq begin, io::Buffer buffer) noexcept {
  // The place is mostly at the end. What is there already stays as it is.
  auto place = early_.end();
  while (place != early_.begin()) {
    auto before = place;
    --before;
    if (before->begin <= begin) break;
    place = before;
  }
  Piece* previous = nullptr;
  if (place != early_.begin()) {
    auto before = place;
    previous = &*--before;
  }
  Seq end = begin + static_cast<std::uint32_t>(buffer.size());
  if (previous != nullptr && previous->end() > begin) {
    note_duplicate(begin, earlier(end, previous->end()));
    if (end <= previous->end()) {
      reported(begin, end);
      return Arrival::duplicate;
    }
    buffer.consume(previous->end() - begin);
    begin = previous->end();
  }
  while (place != early_.end() && place->begin < end) {
    if (place->end() > end) {
      buffer.shorten(end - place->begin);
      end = place->begin;
      break;
    }
    // All of it is in the new one.
    Piece& covered = *place;
    place = early_.erase(place);
    --early_count_;
    give_back(covered);
  }
  if (begin == end) {
    reported(begin, end);
    return Arrival::duplicate;
  }
  if (!merge(previous, begin, buffer)) {
    if (early_count_ >= early_most_ || memory_ + charge_of(buffer) > memory_most_)
      return Arrival::dropped;
    Piece* piece = make(begin, buffer);
    if (piece == nullptr) return Arrival::dropped;
    early_.insert_before(place, *piece);
    ++early_count_;
  }
  reported(begin, end);
  return Arrival::early;
}

// The range is there: it, with the ranges that touch it, becomes the first to be reported.
void ReceiveQueue::reported(Seq begin, Seq end) noexcept {
  Range whole{begin, end};
  std::size_t kept = 0;
  for (std::size_t i = 0; i < recent_count_; ++i) {
    const Range range = recent_[i];
    if (range.begin <= whole.end && whole.begin <= range.end)
      whole = {earlier(range.begin, whole.begin), later(range.end, whole.end)};
    else
      recent_[kept++] = range;
  }
  kept = std::min(kept, recent_.size() - 1);
  std::copy_backward(recent_.begin(), recent_.begin() + static_cast<std::ptrdiff_t>(kept),
                     recent_.begin() + static_cast<std::ptrdiff_t>(kept) + 1);
  recent_[0] = whole;
  recent_count_ = kept + 1;
}

void ReceiveQueue::forget_reported() noexcept {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < recent_count_; ++i)
    if (recent_[i].begin > next_) recent_[kept++] = recent_[i];
  recent_count_ = kept;
}

// Anew, from what is there.
void ReceiveQueue::find_reported() noexcept {
  recent_count_ = 0;
  for (Piece& piece : early_) {
    if (recent_count_ > 0 && recent_[recent_count_ - 1].end == piece.begin)
      recent_[recent_count_ - 1].end = piece.end();
    else if (recent_count_ < recent_.size())
      recent_[recent_count_++] = {piece.begin, piece.end()};
    else
      break;
  }
}

std::size_t ReceiveQueue::report(std::span<wire::SackBlock> blocks) noexcept {
  std::size_t count = 0;
  if (duplicate_ && count < blocks.size()) blocks[count++] = *duplicate_;
  duplicate_.reset();
  for (std::size_t i = 0; i < recent_count_ && count < blocks.size(); ++i)
    blocks[count++] = {recent_[i].begin.value, recent_[i].end.value};
  return count;
}

io::Buffer ReceiveQueue::take() noexcept {
  Piece* piece = ready_.pop_front();
  if (piece == nullptr) return {};
  io::Buffer buffer = std::move(piece->buffer);
  readable_ -= static_cast<std::uint32_t>(buffer.size());
  give_back(*piece);
  return buffer;
}

std::size_t ReceiveQueue::read(std::span<std::byte> into) noexcept {
  std::size_t size = 0;
  while (size < into.size()) {
    Piece* piece = ready_.front();
    if (piece == nullptr) break;
    const auto bytes = piece->buffer.bytes();
    const std::size_t taken = std::min(bytes.size(), into.size() - size);
    std::memcpy(into.data() + size, bytes.data(), taken);
    size += taken;
    readable_ -= static_cast<std::uint32_t>(taken);
    if (taken == bytes.size()) {
      give_back(*ready_.pop_front());
    } else {
      piece->buffer.consume(taken);
      piece->begin += static_cast<std::uint32_t>(taken);
    }
  }
  return size;
}

void ReceiveQueue::drop_early_from(Seq from) noexcept {
  while (Piece* piece = early_.back()) {
    if (piece->begin < from) {
      if (piece->end() > from) piece->buffer.shorten(piece->end() - from);
      break;
    }
    early_.pop_back();
    --early_count_;
    give_back(*piece);
  }
  find_reported();
}

void ReceiveQueue::clear() noexcept {
  while (Piece* piece = ready_.pop_front()) give_back(*piece);
  while (Piece* piece = early_.pop_front()) give_back(*piece);
  readable_ = 0;
  early_count_ = 0;
  recent_count_ = 0;
  duplicate_.reset();
}

}  // namespace lichen::net::tcp
