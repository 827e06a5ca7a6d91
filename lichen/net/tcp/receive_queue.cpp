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
  pieces_.discharge(piece.charge);
  pieces_.give_back(piece);
}

// Puts the bytes behind those of `before`, if they follow and fit there.
bool ReceiveQueue::merge(Piece* before, Seq begin, io::Buffer& buffer) noexcept {
  if (before == nullptr || before->end() != begin) return false;
  const auto room = before->buffer.room();
  if (room.size() < buffer.size()) return false;
  if (buffer.size() > small_piece && has_room(charge_of(buffer))) return false;
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
  pieces_.charge(charge);
  return piece;
}

Piece* ReceiveQueue::pop_last_early() noexcept {
  Piece* last = early_.pop_back();
  if (last == nullptr) return nullptr;
  Piece* first = last->run_first;
  if (first == last) {
    --runs_;
    return last;
  }
  first->run_last = early_.back();
  early_.back()->run_first = first;
  return last;
}

// What came early may be forgotten again (RFC 2018 section 8) for what is in order.
bool ReceiveQueue::forget_last_early() noexcept {
  Piece* last = pop_last_early();
  if (last == nullptr) return false;
  give_back(*last);
  find_reported();
  return true;
}

bool ReceiveQueue::make_room(std::size_t charge) noexcept {
  while (!has_room(charge) && forget_last_early()) {
  }
  // A buffer greater than the limit is taken if it is alone.
  return has_room(charge) || memory_ == 0;
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
  for (Piece* piece = early_.front(); piece != nullptr && piece->begin <= next_;
       piece = early_.front()) {
    any = true;
    --runs_;
    for (const Piece* last = piece->run_last;;) {
      const bool is_last = piece == last;
      early_.pop_front();
      if (piece->end() <= next_) {
        give_back(*piece);
      } else {
        piece->buffer.consume(next_ - piece->begin);
        piece->begin = next_;
        readable_ += static_cast<std::uint32_t>(piece->buffer.size());
        next_ = piece->end();
        ready_.push_back(*piece);
      }
      if (is_last) break;
      piece = early_.front();
    }
  }
  return any;
}

Arrival ReceiveQueue::add_early(Seq begin, io::Buffer buffer) noexcept {
  // The place is mostly at the end: behind `previous`, the last piece of a run, before `next`, the
  // first of one. What is there already stays as it is.
  Piece* previous = early_.back();
  Piece* next = nullptr;
  const auto before = [this](Piece& first) noexcept -> Piece* {
    auto at = early_.place_of(first);
    return at == early_.begin() ? nullptr : &*--at;
  };
  while (previous != nullptr && previous->run_first->begin > begin) {
    next = previous->run_first;
    previous = before(*next);
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
  while (next != nullptr && next->begin < end) {
    if (next->run_last->end() > end) {
      buffer.shorten(end - next->begin);
      end = next->begin;
      break;
    }
    // All of the run is in the new one.
    auto at = early_.place_of(*next);
    for (const Piece* last = next->run_last;;) {
      Piece& covered = *at;
      const bool is_last = &covered == last;
      at = early_.erase(at);
      give_back(covered);
      if (is_last) break;
    }
    --runs_;
    next = at == early_.end() ? nullptr : &*at;
    find_reported();
  }
  if (begin == end) {
    reported(begin, end);
    return Arrival::duplicate;
  }
  const bool joins = previous != nullptr && previous->end() == begin;
  Piece* last = previous;
  if (!merge(previous, begin, buffer)) {
    if ((!joins && runs_ >= runs_most_) || !has_room(charge_of(buffer))) return Arrival::dropped;
    last = make(begin, buffer);
    if (last == nullptr) return Arrival::dropped;
    early_.insert_before(next == nullptr ? early_.end() : early_.place_of(*next), *last);
    last->run_first = joins ? previous->run_first : last;
    if (!joins) ++runs_;
  }
  Piece* first = last->run_first;
  if (next != nullptr && next->begin == end) {
    last = next->run_last;
    last->run_first = first;
    --runs_;
  }
  first->run_last = last;
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
  for (auto at = early_.begin(); at != early_.end() && recent_count_ < recent_.size();) {
    Piece& last = *at->run_last;
    recent_[recent_count_++] = {at->begin, last.end()};
    at = ++early_.place_of(last);
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
    give_back(*pop_last_early());
  }
  find_reported();
}

void ReceiveQueue::clear() noexcept {
  while (Piece* piece = ready_.pop_front()) give_back(*piece);
  while (Piece* piece = early_.pop_front()) give_back(*piece);
  readable_ = 0;
  runs_ = 0;
  recent_count_ = 0;
  duplicate_.reset();
}

const char* ReceiveQueue::broken() noexcept {
  std::uint32_t runs = 0;
  std::size_t memory = 0;
  for (const Piece& piece : ready_) memory += piece.charge;
  Seq behind = next_;
  for (auto at = early_.begin(); at != early_.end();) {
    Piece& first = *at;
    if (first.begin <= behind) return "early runs touch";
    Seq end = first.begin;
    for (;; ++at) {
      if (at == early_.end()) return "an early run without an end";
      if (at->begin != end) return "a gap inside an early run";
      end = at->end();
      memory += at->charge;
      if (&*at == first.run_last) break;
    }
    if (at->run_first != &first) return "the ends of an early run do not know each other";
    ++at;
    ++runs;
    behind = end;
  }
  if (runs != runs_) return "early runs are not counted right";
  return memory == memory_ ? nullptr : "the memory of pieces is not counted right";
}

}  // namespace lichen::net::tcp
