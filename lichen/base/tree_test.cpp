#include "lichen/base/tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <map>
#include <random>
#include <vector>

namespace lichen::base {

// Looks at the structure itself: links, heights and balance.
struct TreeProbe {
  static int sound_height(const TreeNode* node, const TreeNode* parent) {
    if (node == nullptr) return 0;
    EXPECT_EQ(node->parent_, parent);
    const int lesser = sound_height(node->child_[0], node);
    const int greater = sound_height(node->child_[1], node);
    EXPECT_LE(std::abs(lesser - greater), 1);
    EXPECT_EQ(node->height_, 1 + std::max(lesser, greater));
    return node->height_;
  }
  static void expect_sound(const auto& tree) { sound_height(tree.root_, nullptr); }
};

namespace {

struct Mapping {
  int start = 0;
  int order = 0;  // of insertion
  TreeNode node{};
};

using Mappings = Tree<Mapping, &Mapping::node, &Mapping::start>;

TEST(Tree, AnEmptyTreeHasNothing) {
  Mappings tree;
  EXPECT_TRUE(tree.empty());
  EXPECT_EQ(tree.begin(), tree.end());
  EXPECT_EQ(tree.first(), nullptr);
  EXPECT_EQ(tree.last(), nullptr);
  EXPECT_EQ(tree.find(1), nullptr);
  EXPECT_EQ(tree.lower_bound(1), nullptr);
  EXPECT_EQ(tree.floor(1), nullptr);
}

TEST(Tree, LookupsAtAndBetweenKeys) {
  Mappings tree;
  Mapping ten{.start = 10}, twenty{.start = 20}, thirty{.start = 30};
  for (Mapping* each : {&twenty, &thirty, &ten}) tree.insert(*each);
  EXPECT_EQ(tree.find(20), &twenty);
  EXPECT_EQ(tree.find(15), nullptr);
  EXPECT_EQ(tree.lower_bound(20), &twenty);
  EXPECT_EQ(tree.lower_bound(21), &thirty);
  EXPECT_EQ(tree.lower_bound(31), nullptr);
  EXPECT_EQ(tree.upper_bound(20), &thirty);
  EXPECT_EQ(tree.upper_bound(30), nullptr);
  EXPECT_EQ(tree.floor(9), nullptr);
  EXPECT_EQ(tree.floor(10), &ten);
  EXPECT_EQ(tree.floor(29L), &twenty);
  EXPECT_EQ(tree.floor(1000), &thirty);
  EXPECT_EQ(Mappings::next(ten), &twenty);
  EXPECT_EQ(Mappings::previous(ten), nullptr);
  for (Mapping* each : {&twenty, &thirty, &ten}) tree.erase(*each);
  EXPECT_FALSE(ten.node.is_linked());
}

// Checked from outside: a node's depth is the number of steps of the search that finds it, which
// the key function counts.
int compared = 0;
int counting_key(const Mapping& mapping) {
  ++compared;
  return mapping.start;
}

TEST(Tree, StaysShallowWhateverTheOrder) {
  constexpr int count = 100'000;
  const double limit = 1.4405 * std::log2(count + 2);
  for (const int pattern : {0, 1, 2}) {
    std::vector<Mapping> mappings(count);
    Tree<Mapping, &Mapping::node, counting_key> tree;
    for (int i = 0; i < count; ++i) {
      mappings[i].start = pattern == 0 ? i : pattern == 1 ? count - i : i % 2 ? i : count - i;
      tree.insert(mappings[i]);
    }
    // Half of them leave, every second in order, which tries the balance after erasing.
    bool leaves = false;
    for (auto place = tree.begin(); place != tree.end();) {
      Mapping& mapping = *place++;
      if (leaves = !leaves; leaves) tree.erase(mapping);
    }
    for (int key = 0; key < count; key += 7) {
      compared = 0;
      (void)tree.lower_bound(key);
      ASSERT_LE(compared, limit) << "pattern " << pattern << " key " << key;
    }
    while (Mapping* mapping = tree.first()) tree.erase(*mapping);
  }
}

void expect_equal(const Mappings& tree, const std::multimap<int, Mapping*>& model) {
  TreeProbe::expect_sound(tree);
  std::vector<const Mapping*> ours, theirs, backwards;
  for (const Mapping& mapping : tree) ours.push_back(&mapping);
  for (const auto& [key, mapping] : model) theirs.push_back(mapping);
  for (Mapping* each = tree.last(); each != nullptr; each = Mappings::previous(*each)) {
    backwards.push_back(each);
  }
  std::ranges::reverse(backwards);
  ASSERT_EQ(ours, theirs);
  ASSERT_EQ(backwards, theirs);
}

TEST(Tree, BehavesAsAMultimapUnderRandomOperations) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random{seed};
    const int keys = seed % 2 ? 1000 : 20;
    std::vector<Mapping> mappings(200);
    std::multimap<int, Mapping*> model;  // keeps equal keys in the order of insertion, as we do
    Mappings tree;
    for (int step = 0; step < 4000; ++step) {
      Mapping& mapping = mappings[random() % mappings.size()];
      if (mapping.node.is_linked()) {
        std::erase_if(model, [&](const auto& entry) { return entry.second == &mapping; });
        tree.erase(mapping);
      } else {
        mapping.start = static_cast<int>(random() % keys);
        model.emplace(mapping.start, &mapping);
        tree.insert(mapping);
      }
      const int key = static_cast<int>(random() % keys);
      const auto at = [&](auto place) { return place == model.end() ? nullptr : place->second; };
      const auto upper = model.upper_bound(key);
      ASSERT_EQ(tree.lower_bound(key), at(model.lower_bound(key)));
      ASSERT_EQ(tree.upper_bound(key), at(upper));
      ASSERT_EQ(tree.floor(key), upper == model.begin() ? nullptr : std::prev(upper)->second);
      ASSERT_EQ(tree.find(key) != nullptr, model.contains(key));
      if (step % 10 == 0) expect_equal(tree, model);
    }
    expect_equal(tree, model);
    for (auto& [key, mapping] : model) tree.erase(*mapping);
    EXPECT_TRUE(tree.empty());
  }
}

}  // namespace
}  // namespace lichen::base
