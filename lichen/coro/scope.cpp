#include "lichen/coro/scope.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "lichen/coro/loan.hpp"
#include "lichen/coro/ring_end.hpp"

namespace lichen::coro {

// Not a part of those who lock, whose registers it would take.
[[gnu::noinline]] void SpinLock::lock_contended() noexcept {
  unsigned tries = 0;
  do {
    while (held_.load(std::memory_order_relaxed)) hooks::relax(tries++);
  } while (held_.exchange(true, std::memory_order_acquire));
}

[[gnu::noinline]] void RingEnd::lock_contended() noexcept {
  unsigned tries = 0;
  do {
    while (word_.load(std::memory_order_relaxed) & held) hooks::relax(tries++);
  } while (word_.fetch_or(held, std::memory_order_acquire) & held);
}

void* PooledFrame::allocate_aligned(std::size_t size, std::size_t alignment) noexcept {
  void* whole = hooks::allocate_frame(size + alignment);
  if (!whole) return nullptr;
  // Room for the address of the whole lies before the frame: the alignment exceeds a pointer's
  // size.
  const auto address =
      (reinterpret_cast<std::uintptr_t>(whole) + alignment) & ~(std::uintptr_t{alignment} - 1);
  auto* frame = reinterpret_cast<void**>(address);
  frame[-1] = whole;
  return frame;
}

void PooledFrame::free_aligned(void* frame, std::size_t size, std::size_t alignment) noexcept {
  hooks::free_frame(static_cast<void**>(frame)[-1], size + alignment);
}

Scope::Scope(OnError on_error) noexcept : Scope{Shielded{}, on_error} {
  Core* core = this_core();
  if (!core || !core->current()) return;
  parent_ = core->current();
  SpinGuard guard{parent_->lock};
  next_outer_ = parent_->innermost;
  if (next_outer_) next_outer_->next_inner_ = this;
  parent_->innermost = this;
  stopped_.store(parent_->stop_requested.load(std::memory_order_relaxed),
                 std::memory_order_relaxed);
}

Scope::Scope(Shielded, OnError on_error) noexcept : on_error_{on_error} {}

Scope::~Scope() {
  if (active_.load(std::memory_order_acquire) != 0)
    hooks::fatal(
        "a Scope was destroyed with tasks running in it: co_await scope.join() first, or use "
        "with_scope()");
  if (parent_) remove_from_parent();
  // The last child may still be letting go of the lock.
  SpinGuard guard{lock_};
}

void Scope::remove_from_parent() noexcept {
  SpinGuard guard{parent_->lock};
  if (next_inner_)
    next_inner_->next_outer_ = next_outer_;
  else
    parent_->innermost = next_outer_;
  if (next_outer_) next_outer_->next_inner_ = next_inner_;
}

// What it is lent is not its child's. A reservation means something on its core only, so who is in
// its lane stays there.
[[clang::minsize, gnu::noinline]] static Place inherit(Core* core, const Strand& spawner) noexcept {
  const LaneId lane = own_lane(spawner);
  if (lane & reservation_lane_bit && !core) core = spawner.pinned();
  return {.core = core, .lane = lane};
}

void Scope::start(PromiseBase& promise, std::source_location where, Place place, bool keeps_frame,
                  Order order) noexcept {
  Core* core = this_core();
  const PreemptionOff section{core};
  if (place.lane == Place::same_lane) {
    const Strand* spawner = core ? core->current() : nullptr;
    if (!spawner)
      place.lane = default_lane;
    else if (spawner->in_usual_lane()) [[likely]]
      place.lane = spawner->lane();
    else
      place = inherit(place.core, *spawner);
  }
  Strand& strand = promise.become_root(*this, where, place.lane, place.core);
  strand.keeps_frame = keeps_frame;
  {
    SpinGuard guard{lock_, in_section};
    children_.push_back(strand);
    active_.store(active_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (stopped_.load(std::memory_order_relaxed))
      strand.stop_requested.store(true, std::memory_order_relaxed);
  }
  if (!core)
    hooks::make_ready(nullptr, promise, order);
  else if (order == Order::forked)
    make_ready<Order::forked>(*core, promise);
  else
    make_ready<Order::last>(*core, promise);
}

void Scope::fail(Error error) noexcept {
  SpinGuard guard{lock_};
  if (first_error_ == Error{}) first_error_ = error;
  if (on_error_ == OnError::stop_others) request_stop_locked();
}

void Scope::request_stop() noexcept {
  SpinGuard guard{lock_};
  request_stop_locked();
}

void Scope::request_stop_locked() noexcept {
  if (stopped_.exchange(true, std::memory_order_relaxed)) return;
  for (Strand& child : children_) coro::request_stop(child);
}

void request_stop(Strand& strand) noexcept {
  SpinGuard guard{strand.lock};
  if (strand.stop_requested.exchange(true, std::memory_order_relaxed)) return;
  if (strand.wait) {
    Core* elsewhere = strand.wait->kind->cancel(*strand.wait);
    if (elsewhere && strand.stop_post == Strand::StopPost::none) {
      strand.stop_post = Strand::StopPost::under_way;
      hooks::post_stop(*elsewhere, strand);
    }
  }
  for (Scope* scope = strand.innermost; scope; scope = scope->next_outer_) scope->request_stop();
}

void handle_stop(Strand& strand) noexcept {
  {
    SpinGuard guard{strand.lock};
    if (std::exchange(strand.stop_post, Strand::StopPost::none) == Strand::StopPost::under_way) {
      Core* elsewhere = strand.wait ? strand.wait->kind->cancel(*strand.wait) : nullptr;
      if (elsewhere) {
        strand.stop_post = Strand::StopPost::under_way;
        hooks::post_stop(*elsewhere, strand);
      }
      return;
    }
  }
  Scope& scope = *strand.owner;
  if (!strand.keeps_frame) PromiseBase::of_root(strand).handle().destroy();
  scope.child_ended();
}

// Suspends for good, so preemption stays off.
void finish_strand(PromiseBase& root, Error error) noexcept {
  this_preemption()->begin_suspension();
  Strand& strand = *root.strand;
  Scope& scope = *strand.owner;
  {
    SpinGuard guard{scope.lock_, in_section};
    strand.sibling.unlink();
    if (error != Error{} && !strand.keeps_frame) [[unlikely]] {
      if (scope.first_error_ == Error{}) scope.first_error_ = error;
      if (scope.on_error_ == OnError::stop_others) scope.request_stop_locked();
    }
  }
  if (cores_share) {
    // Nobody finds the strand any more, but a stop request may be on its way to another core, which
    // then has the last word.
    SpinGuard guard{strand.lock, in_section};
    if (strand.stop_post != Strand::StopPost::none) {
      strand.stop_post = Strand::StopPost::finished_since;
      return;
    }
  }
  if (!strand.keeps_frame) root.handle().destroy();
  scope.child_ended();
}

void Scope::child_ended() noexcept {
  PromiseBase* joiner = nullptr;
  {
    SpinGuard guard{lock_, in_section};
    const std::size_t left = active_.load(std::memory_order_relaxed) - 1;
    if (left == 0) joiner = std::exchange(joiner_, nullptr);
    active_.store(left, std::memory_order_release);
  }
  if (joiner) wake_next(*joiner);
}

bool Scope::JoinAwaiter::suspend(PromiseBase& promise) noexcept {
  Preemption& core = *this_preemption();
  core.begin_suspension();
  waiter = &promise;
  Strand* strand = promise.strand;
  begin_wait(*strand, *this);
  {
    SpinGuard guard{scope_.lock_};
    if (scope_.active_.load(std::memory_order_relaxed) != 0) {
      if (scope_.joiner_) hooks::fatal("two tasks join one Scope");
      scope_.joiner_ = &promise;
      if (strand->hurried()) [[unlikely]]
        scope_.hurry_children(hooks::lent_lane(*strand));
      return true;
    }
  }
  core.abandon_suspension();
  return false;
}

[[clang::minsize, gnu::noinline]] void Scope::JoinAwaiter::hurry_wait(Wait& wait,
                                                                      Lent lent) noexcept {
  static_cast<JoinAwaiter&>(wait).scope_.hurry(lent);
}

[[clang::minsize, gnu::noinline]] void Scope::hurry(Lent lent) noexcept {
  SpinGuard guard{lock_};
  hurry_children(lent);
}

// The same way down as that of a stop request, but not so far: it may be on the stack of a task
// that was interrupted.
[[clang::minsize, gnu::noinline]] void Scope::hurry_children(Lent lent) noexcept {
  if (++lent.levels == std::numeric_limits<std::uint8_t>::max()) return;
  for (Strand& child : children_) {
    if (!hooks::raise(child, lent)) continue;  // nor does a circle of those who wait have no end
    SpinGuard guard{child.lock, in_section};
    if (child.wait && child.wait->kind->hurry) child.wait->kind->hurry(*child.wait, lent);
  }
}

Result<void> Scope::JoinAwaiter::await_resume() noexcept {
  if (waiter) end_wait(*waiter->strand);
  SpinGuard guard{scope_.lock_};
  const Error error = std::exchange(scope_.first_error_, Error{});
  if (error != Error{}) return error;
  return {};
}

}  // namespace lichen::coro
