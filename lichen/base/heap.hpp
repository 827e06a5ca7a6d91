// A priority queue through a node inside the element: a pairing heap (Fredman, Sedgewick, Sleator
// and Tarjan, 1986). Any element can leave, which is what timers ask for: most of them are
// cancelled.
#pragma once

#include <cassert>
#include <utility>

#include "lichen/base/member.hpp"

namespace lichen::base {

// The place of an element in a heap. It MUST be unlinked when it is destroyed.
class HeapNode {
 public:
  constexpr HeapNode() noexcept = default;
  HeapNode(const HeapNode&) = delete;
  HeapNode& operator=(const HeapNode&) = delete;
  ~HeapNode() { assert(!is_linked()); }

  [[nodiscard]] bool is_linked() const noexcept { return back_ != nullptr; }

 private:
  template <class T, auto Member, auto Key>
  friend class Heap;

  // The first of its children; the next child of the same parent, of no meaning in the root; and
  // what is before: the previous child, the parent of a first child, or for the root the root
  // itself.
  HeapNode* child_ = nullptr;
  HeapNode* next_ = nullptr;
  HeapNode* back_ = nullptr;  // null while in no heap
};

// Heap<Timer, &Timer::node, &Timer::deadline>: the element with the least key (by <) is on top;
// which one of equals is not specified. Key is a member, a member function or a function of const
// T&. The heap owns nothing; elements MUST stay where they are, with the key they have, while
// linked.
//
// push and top take constant time, pop and erase O(log n) amortized; a single one may take O(n).
template <class T, auto Member, auto Key>
class Heap {
 public:
  constexpr Heap() noexcept = default;
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  ~Heap() { assert(empty()); }

  [[nodiscard]] bool empty() const noexcept { return root_ == nullptr; }

  // The element with the least key, or null.
  [[nodiscard]] T* top() const noexcept { return root_ ? element(root_) : nullptr; }

  // The item MUST NOT be linked.
  void push(T& item) noexcept {
    HeapNode* node = &(item.*Member);
    assert(!node->is_linked());
    set_root(root_ ? merge(root_, node) : node);
  }

  // The element with the least key, taken out, or null.
  T* pop() noexcept {
    if (root_ == nullptr) return nullptr;
    T* item = element(root_);
    erase(*item);
    return item;
  }

  // The item MUST be linked in this heap.
  void erase(T& item) noexcept {
    HeapNode* node = &(item.*Member);
    assert(node->is_linked());
    HeapNode* orphans = merge_all(std::exchange(node->child_, nullptr));
    if (node == root_) {
      set_root(orphans);
    } else {
      cut(node);
      if (orphans != nullptr) set_root(merge(root_, orphans));
    }
    node->back_ = nullptr;
  }

 private:
  static T* element(HeapNode* node) noexcept { return holder_of<T, Member>(node); }

  static bool less(HeapNode* a, HeapNode* b) noexcept {
    return key_of<Key>(*element(a)) < key_of<Key>(*element(b));
  }

  void set_root(HeapNode* node) noexcept {
    root_ = node;
    if (node != nullptr) node->back_ = node;
  }

  // Makes the greater of two roots the first child of the lesser, which is returned.
  static HeapNode* merge(HeapNode* a, HeapNode* b) noexcept {
    if (less(b, a)) std::swap(a, b);
    b->next_ = a->child_;
    if (b->next_ != nullptr) b->next_->back_ = b;
    b->back_ = a;
    a->child_ = b;
    return a;
  }

  // Merges siblings in pairs from left to right, then the pairs from right to left: the order on
  // which the amortized bound rests. Iterative, so that a long row costs no stack.
  static HeapNode* merge_all(HeapNode* first) noexcept {
    HeapNode* pairs = nullptr;
    while (first != nullptr) {
      HeapNode* second = first->next_;
      HeapNode* rest = second ? second->next_ : nullptr;
      HeapNode* pair = second ? merge(first, second) : first;
      pair->next_ = pairs;
      pairs = pair;
      first = rest;
    }
    if (pairs == nullptr) return nullptr;
    HeapNode* top = pairs;
    for (HeapNode* pair = pairs->next_; pair != nullptr;) {
      HeapNode* rest = pair->next_;
      top = merge(pair, top);
      pair = rest;
    }
    return top;
  }

  static void cut(HeapNode* node) noexcept {
    (node->back_->child_ == node ? node->back_->child_ : node->back_->next_) = node->next_;
    if (node->next_ != nullptr) node->next_->back_ = node->back_;
  }

  HeapNode* root_ = nullptr;
};

}  // namespace lichen::base
