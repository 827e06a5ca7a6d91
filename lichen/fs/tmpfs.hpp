// Tmpfs: files, folders and links in memory, bounded in size. What it holds comes from the frame
// pools and goes back to them when it is removed, as soon as nobody has it open.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lichen/base/tree.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/fs/budget.hpp"
#include "lichen/fs/contents.hpp"
#include "lichen/fs/node.hpp"
#include "lichen/fs/pooled.hpp"
#include "lichen/io/system.hpp"

namespace lichen::fs {

class Tmpfs;

namespace detail {

class TmpNode : public Node, public Pooled {
 public:
  Task<Result<io::FileInfo>> info() override;

 protected:
  TmpNode(Tmpfs& system, io::FileType type) noexcept;
  // What is charged for it, its contents aside; and how it ends.
  [[nodiscard]] virtual std::size_t cost() const noexcept = 0;
  virtual void destroy() noexcept = 0;
  void touch() noexcept;

  Tmpfs& system_;

 private:
  friend class lichen::fs::Tmpfs;
  friend class TmpFolder;
  void retain() noexcept final { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept final;

  const std::uint64_t inode_;
  std::atomic<std::int64_t> modified_ns_;
  std::atomic<std::uint32_t> references_{0};
};

// A name in a folder; its text lies behind it.
struct TmpEntry {
  static TmpEntry* create(std::string_view name) noexcept;
  static void destroy(TmpEntry* entry) noexcept;
  static std::size_t cost_of(std::string_view name) noexcept {
    return sizeof(TmpEntry) + name.size();
  }
  [[nodiscard]] std::string_view name() const noexcept {
    return {reinterpret_cast<const char*>(this + 1), length};
  }

  base::TreeNode place;
  NodeRef node;
  std::size_t length = 0;
};

class TmpFolder final : public TmpNode {
 public:
  explicit TmpFolder(Tmpfs& system) noexcept : TmpNode{system, io::FileType::folder} {}

  Task<Result<NodeRef>> find(std::string_view name) override;
  Task<Result<std::vector<io::FolderEntry>>> list() override;
  Task<Result<NodeRef>> make(std::string_view name, io::FileType type,
                             std::string_view target) override;
  Task<Result<void>> remove(std::string_view name) override;
  Task<Result<void>> rename(std::string_view from, Node& folder, std::string_view to) override;
  Task<Result<void>> cover() override;

 private:
  friend class lichen::fs::Tmpfs;

  [[nodiscard]] std::size_t cost() const noexcept override { return sizeof(TmpFolder); }
  void destroy() noexcept override { delete this; }

  // All of these with the names locked.
  Result<NodeRef> make_node(std::string_view name, io::FileType type, std::string_view target);
  Result<void> rename_entry(std::string_view from, TmpFolder& folder, std::string_view to);
  void insert(TmpEntry& entry, NodeRef node) noexcept;
  void erase(TmpEntry& entry) noexcept;
  [[nodiscard]] bool is_gone() const noexcept { return parent_ == nullptr; }
  static Result<void> check_removable(const Node& node) noexcept;
  static TmpFolder* as_folder(Node& node) noexcept {
    return node.type() == io::FileType::folder ? static_cast<TmpFolder*>(&node) : nullptr;
  }

  base::Tree<TmpEntry, &TmpEntry::place, &TmpEntry::name> entries_;
  TmpFolder* parent_ = nullptr;  // of the root itself; null once it was removed
};

}  // namespace detail

struct TmpfsOptions {
  std::size_t bytes = 64 << 20;  // of contents, names and what describes them
};

// Any core may use it. MUST outlive the trees it is mounted in, with all that was opened of them.
//
// A write or a new name that does not fit fails with Error::no_space, one for which the machine has
// no memory with no_memory, and then nothing has changed. Times are those of the machine's clock;
// `machine` MUST outlive the file system.
class Tmpfs {
 public:
  explicit Tmpfs(const io::System& machine, const TmpfsOptions& options = {}) noexcept;
  Tmpfs(const Tmpfs&) = delete;
  Tmpfs& operator=(const Tmpfs&) = delete;
  ~Tmpfs();

  [[nodiscard]] NodeRef root() noexcept { return NodeRef{root_}; }
  [[nodiscard]] const Budget& budget() const noexcept { return budget_; }

 private:
  friend class detail::TmpNode;
  friend class detail::TmpFolder;

  const io::System& machine_;
  Budget budget_;
  std::atomic<std::uint64_t> last_inode_{0};
  coro::Mutex names_;  // of all folders: a rename changes two, and asks about those above
  detail::TmpFolder root_;
};

}  // namespace lichen::fs
