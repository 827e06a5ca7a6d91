// A doubly linked list through a node inside the element: nothing is allocated, so nothing can
// fail, and an element leaves in constant time without knowing its list.
#pragma once

#include <cassert>
#include <cstddef>
#include <iterator>

#include "lichen/base/member.hpp"

namespace lichen::base {

// The place of an element in a list. It MUST be unlinked when it is destroyed.
class ListNode {
 public:
  constexpr ListNode() noexcept = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { assert(!is_linked()); }

  [[nodiscard]] bool is_linked() const noexcept { return next_ != nullptr; }

  // Leaves the list it is in. It MUST be linked.
  void unlink() noexcept {
    assert(is_linked());
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class T, auto Member>
  friend class List;

  void link_before(ListNode& place) noexcept {
    assert(!is_linked());
    next_ = &place;
    previous_ = place.previous_;
    previous_->next_ = this;
    place.previous_ = this;
  }

  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

// List<Waiter, &Waiter::node>. The list owns nothing; elements MUST stay where they are while
// linked and leave before the list is destroyed. Everything takes constant time, iteration aside.
template <class T, auto Member>
class List {
 public:
  class Iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T*;
    using reference = T&;

    Iterator() noexcept = default;
    T& operator*() const noexcept { return *holder_of<T, Member>(node_); }
    T* operator->() const noexcept { return holder_of<T, Member>(node_); }
    Iterator& operator++() noexcept {
      node_ = node_->next_;
      return *this;
    }
    Iterator operator++(int) noexcept {
      Iterator before = *this;
      ++*this;
      return before;
    }
    Iterator& operator--() noexcept {
      node_ = node_->previous_;
      return *this;
    }
    Iterator operator--(int) noexcept {
      Iterator before = *this;
      --*this;
      return before;
    }
    bool operator==(const Iterator&) const noexcept = default;

   private:
    friend class List;
    explicit Iterator(ListNode* node) noexcept : node_{node} {}

    ListNode* node_ = nullptr;
  };

  List() noexcept { end_.next_ = end_.previous_ = &end_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    assert(empty());
    end_.next_ = end_.previous_ = nullptr;
  }

  [[nodiscard]] bool empty() const noexcept { return end_.next_ == &end_; }
  [[nodiscard]] Iterator begin() noexcept { return Iterator{end_.next_}; }
  [[nodiscard]] Iterator end() noexcept { return Iterator{&end_}; }

  // The first and last element, or null.
  [[nodiscard]] T* front() noexcept { return empty() ? nullptr : element(end_.next_); }
  [[nodiscard]] T* back() noexcept { return empty() ? nullptr : element(end_.previous_); }

  // Where an item is, which MUST be linked in this list.
  [[nodiscard]] Iterator place_of(T& item) noexcept { return Iterator{&(item.*Member)}; }

  // The item MUST NOT be linked.
  void push_front(T& item) noexcept { (item.*Member).link_before(*end_.next_); }
  void push_back(T& item) noexcept { (item.*Member).link_before(end_); }
  void insert_before(Iterator place, T& item) noexcept { (item.*Member).link_before(*place.node_); }

  // The first and last element, taken out, or null.
  T* pop_front() noexcept { return take(end_.next_); }
  T* pop_back() noexcept { return take(end_.previous_); }

  // Takes the element out and returns the place after it.
  Iterator erase(Iterator place) noexcept {
    ListNode* next = place.node_->next_;
    place.node_->unlink();
    return Iterator{next};
  }

  // Moves all of `other`, in order, behind what is here.
  void append(List& other) noexcept {
    if (other.empty()) return;
    other.end_.next_->previous_ = end_.previous_;
    end_.previous_->next_ = other.end_.next_;
    other.end_.previous_->next_ = &end_;
    end_.previous_ = other.end_.previous_;
    other.end_.next_ = other.end_.previous_ = &other.end_;
  }

 private:
  static T* element(ListNode* node) noexcept { return holder_of<T, Member>(node); }

  T* take(ListNode* node) noexcept {
    if (node == &end_) return nullptr;
    node->unlink();
    return element(node);
  }

  ListNode end_;  // circular: its next is the first element, its previous the last
};

}  // namespace lichen::base
