// Inbox: what other threads hand to a core. Many writers, one reader, no lock.
#pragma once

#include <atomic>

namespace lichen::sched {

// A stack of elements linked through `Next`; the reader takes all of it at once and turns it round,
// so each writer's elements come out in the order in which it put them in.
template <class T, T* T::* Next>
class Inbox {
 public:
  [[nodiscard]] bool empty() const noexcept {
    return top_.load(std::memory_order_relaxed) == nullptr;
  }

  // On any thread. Sequentially consistent: the writer then looks whether the reader sleeps.
  void push(T& item) noexcept {
    T* top = top_.load(std::memory_order_relaxed);
    do {
      item.*Next = top;
    } while (!top_.compare_exchange_weak(top, &item, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
  }
  // Everything, oldest first, as a null-terminated chain; null when there is nothing. Reader only.
  T* take_all() noexcept {
    T* item = top_.exchange(nullptr, std::memory_order_seq_cst);
    T* oldest = nullptr;
    while (item) {
      T* next = item->*Next;
      item->*Next = oldest;
      oldest = item;
      item = next;
    }
    return oldest;
  }

 private:
  std::atomic<T*> top_{nullptr};
};

}  // namespace lichen::sched
