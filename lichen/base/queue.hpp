// A first-in, first-out queue through one pointer inside the element: the cheapest thing that keeps
// order. A List costs a pointer more and lets elements leave from the middle.
#pragma once

#include <cstddef>
#include <iterator>
#include <utility>

namespace lichen::base {

// Queue<Runnable, &Runnable::next>, where next is a Runnable*. The queue owns nothing; while an
// element is queued it MUST stay where it is and its `next` belongs to the queue, afterwards `next`
// has no meaning. Everything takes constant time, iteration aside.
template <class T, auto Next>
class Queue {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T*;
    using reference = T&;

    Iterator() noexcept = default;
    T& operator*() const noexcept { return *item_; }
    T* operator->() const noexcept { return item_; }
    Iterator& operator++() noexcept {
      item_ = item_->*Next;
      return *this;
    }
    Iterator operator++(int) noexcept {
      Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator&) const noexcept = default;

   private:
    friend class Queue;
    explicit Iterator(T* item) noexcept : item_{item} {}

    T* item_ = nullptr;
  };

  constexpr Queue() noexcept = default;
  Queue(Queue&& other) noexcept
      : head_{std::exchange(other.head_, nullptr)}, tail_{std::exchange(other.tail_, nullptr)} {}
  // MUST be empty to be assigned to: what it held would be lost.
  Queue& operator=(Queue&& other) noexcept {
    head_ = std::exchange(other.head_, nullptr);
    tail_ = std::exchange(other.tail_, nullptr);
    return *this;
  }

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  // The next element to be popped, or null.
  [[nodiscard]] T* front() const noexcept { return head_; }
  [[nodiscard]] Iterator begin() const noexcept { return Iterator{head_}; }
  [[nodiscard]] Iterator end() const noexcept { return Iterator{}; }

  // The item MUST NOT be queued.
  void push_back(T& item) noexcept {
    item.*Next = nullptr;
    (head_ == nullptr ? head_ : tail_->*Next) = &item;
    tail_ = &item;
  }
  void push_front(T& item) noexcept {
    item.*Next = head_;
    if (head_ == nullptr) tail_ = &item;
    head_ = &item;
  }

  // The oldest element, taken out, or null.
  T* pop_front() noexcept {
    T* item = head_;
    if (item != nullptr) head_ = item->*Next;
    return item;
  }

  // Moves all of `other`, in order, behind what is here.
  void append(Queue&& other) noexcept {
    if (other.empty()) return;
    (head_ == nullptr ? head_ : tail_->*Next) = other.head_;
    tail_ = other.tail_;
    other.head_ = nullptr;
  }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;  // meaningless while the queue is empty
};

}  // namespace lichen::base
