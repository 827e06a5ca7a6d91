// An ordered map through a node inside the element: an AVL tree (Adelson-Velsky and Landis, 1962),
// whose height is at most 1.44 log2 n whatever comes in.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "lichen/base/member.hpp"

namespace lichen::base {

// The place of an element in a tree. It MUST be unlinked when it is destroyed.
class TreeNode {
 public:
  constexpr TreeNode() noexcept = default;
  TreeNode(const TreeNode&) = delete;
  TreeNode& operator=(const TreeNode&) = delete;
  ~TreeNode() { assert(!is_linked()); }

  [[nodiscard]] bool is_linked() const noexcept { return height_ != 0; }

 private:
  friend class TreeCore;
  friend struct TreeProbe;  // of the tests
  template <class T, auto Member, auto Key>
  friend class Tree;

  TreeNode* parent_ = nullptr;
  TreeNode* child_[2] = {nullptr, nullptr};  // the lesser and the greater
  std::uint8_t height_ = 0;                  // one for a leaf; zero while in no tree
};

// The part of Tree that does not depend on what the elements are.
class TreeCore {
 protected:
  enum Side : bool { lesser, greater };

  constexpr TreeCore() noexcept = default;
  TreeCore(const TreeCore&) = delete;
  TreeCore& operator=(const TreeCore&) = delete;
  ~TreeCore() { assert(root_ == nullptr); }

  // Makes the node a leaf under `parent`, whose `side` MUST be free, or the root if that is null.
  void attach(TreeNode& node, TreeNode* parent, Side side) noexcept;
  void detach(TreeNode& node) noexcept;

  // The leftmost (lesser) or rightmost (greater) node of a tree, or null.
  static TreeNode* outermost(TreeNode* root, Side side) noexcept;
  // The next node in order (greater) or the one before (lesser), or null.
  static TreeNode* neighbour(TreeNode* node, Side side) noexcept;

  TreeNode* root_ = nullptr;

 private:
  static std::uint8_t height(const TreeNode* node) noexcept { return node ? node->height_ : 0; }

  TreeNode* rotate(TreeNode* node, Side rising) noexcept;
  void replace(TreeNode* node, TreeNode* successor) noexcept;
  void rebalance(TreeNode* node) noexcept;
};

// Tree<Mapping, &Mapping::node, &Mapping::start>, ordered by < of the key, which is a member, a
// member function or a function of const T&. Equal keys are allowed and stay in the order of
// insertion. The tree owns nothing; elements MUST stay where they are, with the key they have,
// while linked, and leave before the tree is destroyed. Lookups return null where there is no such
// element.
//
// Everything takes O(log n); a whole walk takes O(n).
template <class T, auto Member, auto Key>
class Tree : TreeCore {
  friend struct TreeProbe;

 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T*;
    using reference = T&;

    Iterator() noexcept = default;
    T& operator*() const noexcept { return *holder_of<T, Member>(node_); }
    T* operator->() const noexcept { return holder_of<T, Member>(node_); }
    Iterator& operator++() noexcept {
      node_ = neighbour(node_, greater);
      return *this;
    }
    Iterator operator++(int) noexcept {
      Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator&) const noexcept = default;

   private:
    friend class Tree;
    explicit Iterator(TreeNode* node) noexcept : node_{node} {}

    TreeNode* node_ = nullptr;
  };

  [[nodiscard]] bool empty() const noexcept { return root_ == nullptr; }
  [[nodiscard]] Iterator begin() const noexcept { return Iterator{outermost(root_, lesser)}; }
  [[nodiscard]] Iterator end() const noexcept { return Iterator{}; }

  [[nodiscard]] T* first() const noexcept { return element(outermost(root_, lesser)); }
  [[nodiscard]] T* last() const noexcept { return element(outermost(root_, greater)); }
  // The neighbours of an element that MUST be linked.
  [[nodiscard]] static T* next(T& item) noexcept {
    return element(neighbour(&(item.*Member), greater));
  }
  [[nodiscard]] static T* previous(T& item) noexcept {
    return element(neighbour(&(item.*Member), lesser));
  }

  // The first element with this key.
  template <class K>
  [[nodiscard]] T* find(const K& key) const noexcept {
    T* item = lower_bound(key);
    return item != nullptr && !(key < key_of<Key>(*item)) ? item : nullptr;
  }
  // The first element whose key is not less than this one.
  template <class K>
  [[nodiscard]] T* lower_bound(const K& key) const noexcept {
    return edge(greater, [&](const T& item) { return !(key_of<Key>(item) < key); });
  }
  // The first element whose key is greater than this one.
  template <class K>
  [[nodiscard]] T* upper_bound(const K& key) const noexcept {
    return edge(greater, [&](const T& item) { return key < key_of<Key>(item); });
  }
  // The last element whose key is not greater than this one: the range that may hold an address.
  template <class K>
  [[nodiscard]] T* floor(const K& key) const noexcept {
    return edge(lesser, [&](const T& item) { return !(key < key_of<Key>(item)); });
  }

  // The item MUST NOT be linked.
  void insert(T& item) noexcept {
    TreeNode* parent = nullptr;
    Side side = lesser;
    for (TreeNode* place = root_; place != nullptr; place = place->child_[side]) {
      parent = place;
      side = key_of<Key>(item) < key_of<Key>(*element(place)) ? lesser : greater;
    }
    attach(item.*Member, parent, side);
  }

  // The item MUST be linked in this tree.
  void erase(T& item) noexcept { detach(item.*Member); }

 private:
  static T* element(TreeNode* node) noexcept { return node ? holder_of<T, Member>(node) : nullptr; }

  // Of the elements for which `holds` is true, which MUST be all on one `side` of some place, the
  // one nearest to that place.
  T* edge(Side side, auto holds) const noexcept {
    TreeNode* nearest = nullptr;
    for (TreeNode* place = root_; place != nullptr;) {
      const bool inside = holds(*element(place));
      if (inside) nearest = place;
      place = place->child_[inside != static_cast<bool>(side)];
    }
    return element(nearest);
  }
};

}  // namespace lichen::base
