// Vfs: one tree made of mounts, seen through folders that let no path out.
//
//   Vfs tree{initfs.root(), Rights::read_only};
//   CO_TRY(co_await tree.mount("tmp", tmpfs.root()));
//   auto root = CO_TRY(tree.open_root());
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/fs/node.hpp"
#include "lichen/fs/pooled.hpp"
#include "lichen/io/file.hpp"

namespace lichen::fs {

enum class Rights : std::uint8_t { read_only, read_write };

class Vfs;

namespace detail {

struct Mount;

// A mount that is in use: it cannot be unmounted.
class MountRef {
 public:
  MountRef() noexcept = default;
  explicit MountRef(Mount& mount) noexcept;
  MountRef(const MountRef& other) noexcept;
  MountRef(MountRef&& other) noexcept : mount_{std::exchange(other.mount_, nullptr)} {}
  MountRef& operator=(MountRef other) noexcept {
    std::swap(mount_, other.mount_);
    return *this;
  }
  ~MountRef();
  Mount* operator->() const noexcept { return mount_; }
  [[nodiscard]] Mount* get() const noexcept { return mount_; }

 private:
  Mount* mount_ = nullptr;
};

// A place in the tree. The node is let go before the mount it belongs to.
struct Position {
  Position() noexcept = default;
  Position(MountRef in, NodeRef at) noexcept : mount{std::move(in)}, node{std::move(at)} {}
  Position(const Position&) noexcept = default;
  Position(Position&&) noexcept = default;
  Position& operator=(Position other) noexcept {
    std::swap(mount, other.mount);
    std::swap(node, other.node);
    return *this;
  }
  ~Position() = default;

  MountRef mount;
  NodeRef node;  // let go first: its file system may be gone as soon as the mount is
};

struct Mount : Pooled {
  Mount(NodeRef root_node, Rights allowed) noexcept : root{std::move(root_node)}, rights{allowed} {}

  base::ListNode place;
  const NodeRef root;
  const Rights rights;
  Position covered;  // where it is mounted; nowhere for the root of the tree
  // One for each MountRef. From none to one only under the tree's lock.
  std::atomic<std::uint32_t> users{0};
};

}  // namespace detail

// A folder of the tree as a capability, with the rules of io::Folder: ".." is followed as far as
// that folder, and over mounts. Error::link_loop when a path leads through more than most_links
// links (path.hpp), read_only where the mount may not be changed, busy for a name something is
// mounted on, not_supported for a rename from one mount to another.
class VfsFolder final : public io::Folder, public Pooled {
 public:
  VfsFolder(Vfs& tree, detail::Position at) noexcept : tree_{tree}, at_{std::move(at)} {}

  Task<Result<std::unique_ptr<io::File>>> open(std::string_view path, io::OpenMode mode) override;
  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view path) override;
  Task<Result<io::FileInfo>> info(std::string_view path) override;
  [[clang::coro_wrapper]] Task<Result<std::vector<io::FolderEntry>>> list() override;
  [[clang::coro_wrapper]] Task<Result<void>> make_folder(std::string_view path) override;
  Task<Result<void>> remove(std::string_view path) override;
  Task<Result<void>> rename(std::string_view from, std::string_view to) override;

  // A symbolic link. Where it leads is looked at when it is followed: relative to the folder it
  // lies in, and never out of the folder that the walk began in.
  Task<Result<void>> make_link(std::string_view path, std::string_view target);
  // Of the link itself. Error::wrong_type for what is none.
  Task<Result<std::string>> read_link(std::string_view path);

 private:
  struct Place {
    detail::Position folder;
    std::string_view name;  // part of the path that was given
  };
  Task<Result<Place>> find_place(std::string_view path);
  Task<Result<void>> make(std::string_view path, io::FileType type, std::string_view target);

  Vfs& tree_;
  const detail::Position at_;
};

// Belongs to no core. MUST outlive what was opened of it; the file systems MUST outlive the tree.
class Vfs {
 public:
  // The root is a folder.
  explicit Vfs(NodeRef root, Rights rights = Rights::read_write) noexcept;
  Vfs(const Vfs&) = delete;
  Vfs& operator=(const Vfs&) = delete;
  ~Vfs();

  // The whole tree. Error::no_memory.
  Result<std::unique_ptr<VfsFolder>> open_root() noexcept;

  // Puts a file system over a folder of the tree, whose own entries are not seen meanwhile.
  // Error::busy where something is mounted already, else as io::Folder::open_folder().
  Task<Result<void>> mount(std::string_view path, NodeRef root, Rights rights = Rights::read_write);
  // Error::busy while anything of it is open, walked through or mounted on; invalid_argument for a
  // folder that nothing is mounted on.
  Task<Result<void>> unmount(std::string_view path);

 private:
  friend class Walk;

  // What is mounted at a place, or else the place itself.
  detail::Position enter(detail::Position at) noexcept;
  detail::Mount* mount_at(const detail::Position& at) noexcept
      __attribute__((requires_capability(lock_)));

  coro::SpinLock lock_;
  detail::Mount root_;
  // Later ones may lie in earlier ones.
  base::List<detail::Mount, &detail::Mount::place> mounts_ __attribute__((guarded_by(lock_)));
};

}  // namespace lichen::fs
