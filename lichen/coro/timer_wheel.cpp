#include "lichen/coro/timer_wheel.hpp"

#include <algorithm>
#include <bit>

#include "lichen/coro/core.hpp"

namespace lichen::coro {

namespace {
// Longest list that next_deadline() searches for the exact minimum before it settles for the slot's
// start.
constexpr unsigned search_limit = 64;

void make_empty(TimerLink& list) noexcept { list.next = list.previous = &list; }

void link_last(TimerLink& list, TimerLink& node) noexcept {
  node.previous = list.previous;
  node.next = &list;
  list.previous->next = &node;
  list.previous = &node;
}

// Moves all of `from` to the empty list `to`.
void move_all(TimerLink& from, TimerLink& to) noexcept {
  make_empty(to);
  if (from.next == &from) return;
  to = from;
  to.next->previous = &to;
  to.previous->next = &to;
  make_empty(from);
}
}  // namespace

TimerWheel::TimerWheel() noexcept {
  for (auto& level : table_)
    for (Link& slot : level) make_empty(slot);
}

// The first tick that begins at or after the deadline.
std::uint64_t TimerWheel::tick_of(std::uint64_t deadline_ns) noexcept {
  constexpr std::uint64_t part = (std::uint64_t{1} << tick_bits) - 1;
  return std::min((deadline_ns >> tick_bits) + ((deadline_ns & part) != 0), last_tick);
}

void TimerWheel::insert(Timer& timer) noexcept {
  const std::uint64_t tick = std::max(tick_of(timer.deadline_), elapsed_);
  const std::uint64_t different = (tick ^ elapsed_) | 1;
  const unsigned level = (63U - static_cast<unsigned>(std::countl_zero(different))) / level_bits;
  const unsigned slot = (tick >> (level * level_bits)) & (slots - 1);
  link_last(table_[level][slot], timer);
  occupied_[level] |= std::uint64_t{1} << slot;
  occupied_levels_ |= 1U << level;
}

void TimerWheel::remove(Timer& timer) noexcept {
  Link* next = timer.next;
  Link* previous = timer.previous;
  next->previous = previous;
  previous->next = next;
  if (next != previous) return;
  // The list is empty now and `next` is its head: a slot of the table, or a list being fired.
  const Link* first = &table_[0][0];
  if (next < first || next >= first + levels * slots) return;
  const auto index = static_cast<std::size_t>(next - first);
  occupied_[index / slots] &= ~(std::uint64_t{1} << (index % slots));
  if (occupied_[index / slots] == 0) occupied_levels_ &= ~(1U << (index / slots));
}

void TimerWheel::set_locked(Timer& timer, std::uint64_t deadline_ns) noexcept {
  timer.deadline_ = deadline_ns;
  timer.state_.store(Timer::State::set, std::memory_order_relaxed);
  insert(timer);
  size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (deadline_ns < first_set()) [[unlikely]]
    set_first(deadline_ns);
}

void TimerWheel::set_first(std::uint64_t deadline_ns) noexcept {
  first_set_ns_.store(deadline_ns, std::memory_order_relaxed);
  // A handler that puts the look off either sees the timer or is seen here.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (deadline_ns < planned_ns_.load(std::memory_order_relaxed)) this_core()->request_preemption();
}

void TimerWheel::set(Timer& timer, std::uint64_t deadline_ns) noexcept {
  timer.wheel_ = this;
  SpinGuard guard{lock_};
  set_locked(timer, deadline_ns);
}

bool TimerWheel::set_unless(const std::atomic<bool>& stopped, Timer& timer,
                            std::uint64_t deadline_ns) noexcept {
  SpinGuard guard{lock_};
  if (stopped.load(std::memory_order_relaxed)) return false;
  set_locked(timer, deadline_ns);
  return true;
}

bool Timer::cancel() noexcept {
  if (!wheel_) return false;
  {
    SpinGuard guard{wheel_->lock_};
    if (state_.load(std::memory_order_relaxed) == State::set) {
      wheel_->remove(*this);
      wheel_->size_.store(wheel_->size_.load(std::memory_order_relaxed) - 1,
                          std::memory_order_relaxed);
      state_.store(State::idle, std::memory_order_relaxed);
      return true;
    }
  }
  for (unsigned tries = 0; state_.load(std::memory_order_acquire) == State::firing; ++tries)
    hooks::relax(tries);
  return false;
}

TimerWheel::Position TimerWheel::earliest() const noexcept {
  const auto level = static_cast<unsigned>(std::countr_zero(occupied_levels_));
  const unsigned shift = level * level_bits;
  // Slots before the wheel's own digit are empty: their time has passed.
  const auto slot = static_cast<unsigned>(std::countr_zero(occupied_[level]));
  const std::uint64_t above =
      shift + level_bits >= 64 ? 0 : (elapsed_ >> (shift + level_bits)) << (shift + level_bits);
  return {level, slot, above | (std::uint64_t{slot} << shift)};
}

std::size_t TimerWheel::advance(std::uint64_t now_ns) noexcept {
  const std::uint64_t now = now_ns >> tick_bits;
  std::size_t fired = 0;
  SpinGuard guard{lock_};
  while (occupied_levels_ != 0) {
    const Position position = earliest();
    if (position.start > now) break;
    elapsed_ = std::max(elapsed_, position.start);
    Link due;
    move_all(table_[position.level][position.slot], due);
    occupied_[position.level] &= ~(std::uint64_t{1} << position.slot);
    if (occupied_[position.level] == 0) occupied_levels_ &= ~(1U << position.level);
    while (due.next != &due) {
      auto& timer = static_cast<Timer&>(*due.next);
      remove(timer);
      if (position.level > 0) {
        insert(timer);
        continue;
      }
      ++fired;
      size_.store(size_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
      timer.state_.store(Timer::State::firing, std::memory_order_relaxed);
      guard.unlock();
      timer.fire_(timer);
      guard.lock();
    }
  }
  elapsed_ = std::max(elapsed_, now);
  return fired;
}

std::uint64_t TimerWheel::not_before() noexcept {
  SpinGuard guard{lock_, in_section};
  return occupied_levels_ == 0 ? no_deadline : earliest().start << tick_bits;
}

std::uint64_t TimerWheel::next_deadline() noexcept {
  SpinGuard guard{lock_};
  if (occupied_levels_ == 0) return no_deadline;
  const Position position = earliest();
  std::uint64_t earliest_ns = no_deadline;
  unsigned searched = 0;
  const Link& list = table_[position.level][position.slot];
  for (const Link* link = list.next; link != &list; link = link->next) {
    if (++searched > search_limit) return position.start << tick_bits;
    earliest_ns = std::min(earliest_ns, static_cast<const Timer*>(link)->deadline_);
  }
  return tick_of(earliest_ns) << tick_bits;
}

}  // namespace lichen::coro
