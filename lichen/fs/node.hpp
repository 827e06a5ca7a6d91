// Node: what a file system shows of itself to the tree (vfs.hpp). A file system is a root node,
// from which the others are found by their names.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/file.hpp"

namespace lichen::fs {

class NodeRef;

// A file, a folder or a link. Whoever calls has looked at its type: what is said of folders is
// asked of folders only. A name is one component of a path: neither empty nor "." nor "..", without
// '/', at most longest_name bytes. Any core may call at any time; paths, mounts and rights are the
// tree's business.
//
// What a file system does not override says that it cannot be changed.
class Node {
 public:
  static constexpr std::size_t longest_name = 255;

  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node() = default;  // by its file system

  [[nodiscard]] io::FileType type() const noexcept { return type_; }
  virtual Task<Result<io::FileInfo>> info() = 0;

  // Folders. Error::not_found where there is no such name.
  virtual Task<Result<NodeRef>> find(std::string_view name);
  // All entries; one that is there all the while is told once, whatever else comes and goes.
  virtual Task<Result<std::vector<io::FolderEntry>>> list();
  // A new and empty file, a folder, or a link to `target`. Error::already_exists if the name is
  // taken.
  virtual Task<Result<NodeRef>> make(std::string_view name, io::FileType type,
                                     std::string_view target);
  // Error::not_empty of a folder with entries, busy of one that is covered.
  virtual Task<Result<void>> remove(std::string_view name);
  // `folder` is a folder of the same file system. At no moment is there nothing named `to` if
  // something was. Error::invalid_argument for a folder that would come to lie in itself.
  virtual Task<Result<void>> rename(std::string_view from, Node& folder, std::string_view to);

  // Links: what a walk goes on with. Does not change.
  [[nodiscard]] virtual std::string_view target() const noexcept { return {}; }

  // Files: as io::File.
  virtual Task<Result<std::size_t>> read_at(std::uint64_t offset, std::span<std::byte> into);
  virtual Task<Result<void>> write_at(std::uint64_t offset, std::span<const std::byte> from);
  virtual Task<Result<void>> truncate(std::uint64_t size);
  virtual Task<Result<void>> sync();
  [[nodiscard]] virtual std::span<const std::byte> resident() const noexcept { return {}; }

  // A covered folder has something mounted on it; it MUST stay where it is until it is uncovered.
  [[nodiscard]] bool is_covered() const noexcept {
    return covers_.load(std::memory_order_acquire) != 0;
  }
  // Error::not_found when the folder was removed.
  virtual Task<Result<void>> cover();
  void uncover() noexcept { covers_.fetch_sub(1, std::memory_order_release); }

 protected:
  explicit Node(io::FileType type) noexcept : type_{type} {}
  void mark_covered() noexcept { covers_.fetch_add(1, std::memory_order_release); }

 private:
  friend class NodeRef;
  // Counts references; at the last release nothing names the node any more.
  virtual void retain() noexcept = 0;
  virtual void release() noexcept = 0;

  const io::FileType type_;
  std::atomic<std::uint32_t> covers_{0};
};

// Keeps a node alive. The file system MUST outlive it.
class NodeRef {
 public:
  NodeRef() noexcept = default;
  explicit NodeRef(Node& node) noexcept : node_{&node} { node.retain(); }
  NodeRef(const NodeRef& other) noexcept : node_{other.node_} {
    if (node_) node_->retain();
  }
  NodeRef(NodeRef&& other) noexcept : node_{std::exchange(other.node_, nullptr)} {}
  NodeRef& operator=(NodeRef other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~NodeRef() {
    if (node_) node_->release();
  }

  Node& operator*() const noexcept { return *node_; }
  Node* operator->() const noexcept { return node_; }
  [[nodiscard]] Node* get() const noexcept { return node_; }
  explicit operator bool() const noexcept { return node_ != nullptr; }

 private:
  Node* node_ = nullptr;
};

}  // namespace lichen::fs
