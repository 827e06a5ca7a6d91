// ChannelRing: where the messages of a channel wait.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/coro/ring_end.hpp"

namespace lichen::coro {

inline constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

namespace detail {

// What a waiting sender still has to hand over, and where a waiting receiver wants it.
template <class T>
struct Outbox {
  T* next;
  std::size_t left;
  Error error;
};
template <class T>
struct Inbox {
  T* next;  // raw storage
  std::size_t room;
  std::size_t taken;
  Error error;
};

template <class T>
void hand_over(Outbox<T>& out, Inbox<T>& in) noexcept {
  const std::size_t n = std::min(out.left, in.room);
  std::uninitialized_move_n(out.next, n, in.next);
  out.next += n;
  out.left -= n;
  in.next += n;
  in.room -= n;
  in.taken += n;
}
// With the senders' end held a sender may put messages in, with the receivers' end held a receiver
// may take some out; the memory changes with both ends held.
template <class T>
class ChannelRing {
  static_assert(alignof(T) <= 16, "the buffer comes from the frame pool");

 public:
  explicit ChannelRing(std::size_t capacity) noexcept : capacity_{capacity} {}
  ChannelRing(const ChannelRing&) = delete;
  ChannelRing& operator=(const ChannelRing&) = delete;
  ~ChannelRing() {
    // Whoever sees what another one has done may end the channel, while that one lets go of an end.
    const BothEnds ends{*this};
    for (std::uint64_t i = ends.received; i != ends.sent; ++i) std::destroy_at(slot(i));
    if (memory_) hooks::free_frame(memory_, slots_ * sizeof(T));
  }

  // Holds both ends, to the end of a block.
  class [[clang::scoped_lockable]] BothEnds {
   public:
    explicit BothEnds(ChannelRing& ring) noexcept __attribute__((acquire_capability(no_suspend)))
        : section_{this_preemption()}, ring_{ring} {
      lock();
    }
    BothEnds(ChannelRing& ring, InSection) noexcept __attribute__((acquire_capability(no_suspend)))
        : section_{nullptr}, ring_{ring} {
      lock();
    }
    ~BothEnds() __attribute__((release_capability(), no_thread_safety_analysis)) {
      ring_.seen_received_ = received;
      ring_.seen_sent_ = sent;
      // What a sender reads there once it may must not lie behind what it finds here.
      ring_.receivers_end.publish(received);
      ring_.senders_end.unlock(sent);
      ring_.receivers_end.unlock(received);
    }
    BothEnds(const BothEnds&) = delete;
    BothEnds& operator=(const BothEnds&) = delete;

    [[nodiscard]] std::size_t size() const noexcept { return sent - received; }

    std::uint64_t sent = 0;
    std::uint64_t received = 0;

   private:
    void lock() noexcept __attribute__((no_thread_safety_analysis)) {
      sent = ring_.senders_end.lock();
      received = ring_.receivers_end.lock();
    }

    PreemptionOff section_;  // left last
    ChannelRing& ring_;
  };

  // The same where no message passes an end: for the queues alone. Nothing on a single core.
  class [[clang::scoped_lockable]] BothEndsStill {
   public:
    explicit BothEndsStill(ChannelRing& ring) noexcept
        __attribute__((acquire_capability(no_suspend)))
        : section_{this_preemption()}, ring_{ring} {
      lock();
    }
    BothEndsStill(ChannelRing& ring, InSection) noexcept
        __attribute__((acquire_capability(no_suspend)))
        : section_{nullptr}, ring_{ring} {
      lock();
    }
    // With the senders' end held, which is let go of as well.
    BothEndsStill(ChannelRing& ring, std::uint64_t sent) noexcept
        __attribute__((acquire_capability(no_suspend), no_thread_safety_analysis))
        : section_{nullptr}, ring_{ring}, sent_{sent} {
      if (cores_share) received_ = ring_.receivers_end.lock();
    }
    ~BothEndsStill() __attribute__((release_capability(), no_thread_safety_analysis)) {
      if (!cores_share) return;
      ring_.senders_end.unlock(sent_);
      ring_.receivers_end.unlock(received_);
    }
    BothEndsStill(const BothEndsStill&) = delete;
    BothEndsStill& operator=(const BothEndsStill&) = delete;

    [[nodiscard]] bool ring_is_empty() const noexcept {
      return ring_.senders_end.level_with(ring_.receivers_end);
    }

   private:
    void lock() noexcept __attribute__((no_thread_safety_analysis)) {
      if (!cores_share) return;
      sent_ = ring_.senders_end.lock();
      received_ = ring_.receivers_end.lock();
    }

    PreemptionOff section_;  // left last
    ChannelRing& ring_;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
  };

  // Of a message that so many went before.
  T* slot(std::uint64_t before) const noexcept { return memory_ + (before & (slots_ - 1)); }
  // Moves n messages, for which there is room, in behind the `sent` first ones.
  void put(Outbox<T>& out, std::uint64_t sent, std::size_t n) noexcept {
    const std::size_t straight = std::min<std::size_t>(n, slots_ - (sent & (slots_ - 1)));
    std::uninitialized_move_n(out.next, straight, slot(sent));
    if (n > straight) std::uninitialized_move_n(out.next + straight, n - straight, memory_);
    out.next += n;
    out.left -= n;
  }
  // Moves n messages, which are there, out behind the `received` first ones.
  void take(Inbox<T>& in, std::uint64_t received, std::size_t n) noexcept {
    const std::size_t straight = std::min<std::size_t>(n, slots_ - (received & (slots_ - 1)));
    std::uninitialized_move_n(slot(received), straight, in.next);
    std::destroy_n(slot(received), straight);
    if (n > straight) {
      std::uninitialized_move_n(memory_, n - straight, in.next + straight);
      std::destroy_n(memory_, n - straight);
    }
    in.next += n;
    in.room -= n;
    in.taken += n;
  }
  // How many messages fit, or are there, at most `wanted`. With that end held.
  std::size_t room(std::uint64_t sent, std::size_t wanted) noexcept {
    if (room_ - (sent - seen_received_) < wanted) seen_received_ = receivers_end.passed();
    return std::min<std::size_t>(wanted, room_ - (sent - seen_received_));
  }
  std::size_t there(std::uint64_t received, std::size_t wanted) noexcept {
    if (seen_sent_ - received < wanted) seen_sent_ = senders_end.passed();
    return std::min<std::size_t>(wanted, seen_sent_ - received);
  }

  // Moves as many messages into the ring as there is room for. False: the ring could not grow.
  bool buffer(Outbox<T>& out, BothEnds& ends) noexcept {
    while (out.left > 0 && ends.size() < capacity_) {
      if (ends.size() == slots_ && !grow(ends)) return false;
      const std::size_t n = std::min<std::size_t>(out.left, room_ - ends.size());
      put(out, ends.sent, n);
      ends.sent += n;
    }
    return true;
  }

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  // It does not grow any more.
  [[nodiscard]] bool has_all_its_slots() const noexcept { return room_ == capacity_; }

 private:
  // Doubles the ring. Its size is a power of two; a bounded channel gets all it may need at once.
  bool grow(const BothEnds& ends) noexcept {
    if (capacity_ != unbounded && capacity_ > unbounded / 2) return false;
    const std::size_t slots =
        capacity_ == unbounded ? std::max<std::size_t>(slots_ * 2, 16) : std::bit_ceil(capacity_);
    if (slots > std::numeric_limits<std::size_t>::max() / sizeof(T)) return false;
    auto* ring = static_cast<T*>(hooks::allocate_frame(slots * sizeof(T)));
    if (!ring) return false;
    for (std::uint64_t i = ends.received; i != ends.sent; ++i) {
      std::construct_at(ring + (i & (slots - 1)), std::move(*slot(i)));
      std::destroy_at(slot(i));
    }
    if (memory_) hooks::free_frame(memory_, slots_ * sizeof(T));
    memory_ = ring;
    slots_ = slots;
    room_ = std::min(slots, capacity_);
    return true;
  }

  // The ends lie lines apart from each other and from the rest, wherever the channel lies.
  static constexpr std::size_t line = 64;
  using Distance = std::array<std::byte, line - 1>;

 public:
  RingEnd senders_end;

 private:
  std::uint64_t seen_received_ = 0;  // what the senders know of the other end
  Distance behind_the_senders_;

 public:
  RingEnd receivers_end;

 private:
  std::uint64_t seen_sent_ = 0;
  Distance behind_the_receivers_;

  const std::size_t capacity_;
  std::size_t slots_ = 0;
  std::size_t room_ = 0;  // as many messages as the ring may hold; at most `capacity_`
  T* memory_ = nullptr;
};

}  // namespace detail
}  // namespace lichen::coro
