#include "lichen/base/tree.hpp"

#include <algorithm>

namespace lichen::base {

void TreeCore::attach(TreeNode& node, TreeNode* parent, Side side) noexcept {
  assert(!node.is_linked());
  (parent ? parent->child_[side] : root_) = &node;
  node.parent_ = parent;
  node.height_ = 1;
  rebalance(parent);
}

void TreeCore::detach(TreeNode& node) noexcept {
  assert(node.is_linked());
  TreeNode* unbalanced;
  if (node.child_[lesser] != nullptr && node.child_[greater] != nullptr) {
    // The next node in order has no lesser child, so it can leave its place and take this one's.
    TreeNode* heir = outermost(node.child_[greater], lesser);
    unbalanced = heir;
    if (heir->parent_ != &node) {
      unbalanced = heir->parent_;
      replace(heir, heir->child_[greater]);
      heir->child_[greater] = node.child_[greater];
      heir->child_[greater]->parent_ = heir;
    }
    heir->child_[lesser] = node.child_[lesser];
    heir->child_[lesser]->parent_ = heir;
    heir->height_ = node.height_;
    replace(&node, heir);
  } else {
    unbalanced = node.parent_;
    replace(&node, node.child_[node.child_[lesser] == nullptr]);
  }
  node.parent_ = node.child_[lesser] = node.child_[greater] = nullptr;
  node.height_ = 0;
  rebalance(unbalanced);
}

TreeNode* TreeCore::outermost(TreeNode* root, Side side) noexcept {
  if (root == nullptr) return nullptr;
  while (root->child_[side] != nullptr) root = root->child_[side];
  return root;
}

TreeNode* TreeCore::neighbour(TreeNode* node, Side side) noexcept {
  if (node->child_[side] != nullptr) return outermost(node->child_[side], Side{!side});
  TreeNode* parent = node->parent_;
  while (parent != nullptr && parent->child_[side] == node) {
    node = parent;
    parent = node->parent_;
  }
  return parent;
}

// Puts `successor`, with all that hangs on it, where `node` hung.
void TreeCore::replace(TreeNode* node, TreeNode* successor) noexcept {
  TreeNode* parent = node->parent_;
  (parent ? parent->child_[parent->child_[greater] == node] : root_) = successor;
  if (successor != nullptr) successor->parent_ = parent;
}

// Lifts the child at `rising` above its parent and returns it:
//
//       node              child
//      /    \            /     \       (rising = lesser; mirrored otherwise)
//    child   c    ->    a      node
//    /   \                     /  \       ;
//   a     b                   b    c
TreeNode* TreeCore::rotate(TreeNode* node, Side rising) noexcept {
  TreeNode* child = node->child_[rising];
  TreeNode* middle = child->child_[!rising];
  replace(node, child);
  node->child_[rising] = middle;
  if (middle != nullptr) middle->parent_ = node;
  child->child_[!rising] = node;
  node->parent_ = child;
  for (TreeNode* each : {node, child}) {
    each->height_ = 1 + std::max(height(each->child_[lesser]), height(each->child_[greater]));
  }
  return child;
}

// Restores height and balance from `node` upwards, until a subtree is as high as it was before.
void TreeCore::rebalance(TreeNode* node) noexcept {
  while (node != nullptr) {
    const int before = node->height_;
    const int heights[] = {height(node->child_[lesser]), height(node->child_[greater])};
    const Side taller{heights[greater] > heights[lesser]};
    if (heights[taller] > heights[!taller] + 1) {
      TreeNode* child = node->child_[taller];
      if (height(child->child_[!taller]) > height(child->child_[taller])) {
        rotate(child, Side{!taller});
      }
      node = rotate(node, taller);
    } else {
      node->height_ = 1 + heights[taller];
    }
    if (node->height_ == before) return;
    node = node->parent_;
  }
}

}  // namespace lichen::base
