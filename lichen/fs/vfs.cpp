#include "lichen/fs/vfs.hpp"

#include <cassert>

#include "lichen/fs/path.hpp"
#include "lichen/fs/walk.hpp"

namespace lichen::fs {

using detail::Mount;
using detail::MountRef;
using detail::Position;

namespace {

constexpr unsigned open_races = 16;  // times a name may come and go under our feet

bool creates(io::OpenMode mode) noexcept {
  return mode == io::OpenMode::create || mode == io::OpenMode::create_new ||
         mode == io::OpenMode::replace;
}

Result<void> check_writable(const Position& at) noexcept {
  if (at.mount->rights != Rights::read_write) return Error::read_only;
  return {};
}

class VfsFile final : public io::File, public Pooled {
 public:
  VfsFile(Position at, bool writable) noexcept : at_{std::move(at)}, writable_{writable} {}

  [[clang::coro_wrapper]] Task<Result<std::size_t>> read_at(std::uint64_t offset,
                                                            std::span<std::byte> into) override {
    return at_.node->read_at(offset, into);
  }
  [[clang::coro_wrapper]] Task<Result<void>> write_at(std::uint64_t offset,
                                                      std::span<const std::byte> from) override {
    return writable_ ? at_.node->write_at(offset, from) : refuse();
  }
  [[clang::coro_wrapper]] Task<Result<io::FileInfo>> info() override { return at_.node->info(); }
  [[clang::coro_wrapper]] Task<Result<void>> truncate(std::uint64_t size) override {
    return writable_ ? at_.node->truncate(size) : refuse();
  }
  [[clang::coro_wrapper]] Task<Result<void>> sync() override { return at_.node->sync(); }
  [[nodiscard]] std::span<const std::byte> resident() const noexcept override {
    return at_.node->resident();
  }

 private:
  // What a host says of a descriptor that is open for reading.
  static Task<Result<void>> refuse() { co_return Error::bad_handle; }

  const Position at_;
  const bool writable_;
};

}  // namespace

MountRef::MountRef(Mount& mount) noexcept : mount_{&mount} {
  mount.users.fetch_add(1, std::memory_order_relaxed);
}
MountRef::MountRef(const MountRef& other) noexcept : mount_{other.mount_} {
  if (mount_) mount_->users.fetch_add(1, std::memory_order_relaxed);
}
MountRef::~MountRef() {
  if (mount_) mount_->users.fetch_sub(1, std::memory_order_release);
}

Vfs::Vfs(NodeRef root, Rights rights) noexcept : root_{std::move(root), rights} {
  assert(root_.root->type() == io::FileType::folder);
}

Vfs::~Vfs() {
  while (Mount* mount = mounts_.pop_back()) {
    assert(mount->users.load() == 0);
    const Position covered = std::move(mount->covered);
    delete mount;
    covered.node->uncover();
  }
  assert(root_.users.load() == 0);
}

Mount* Vfs::mount_at(const Position& at) noexcept {
  for (Mount& mount : mounts_)
    if (mount.covered.node.get() == at.node.get() && mount.covered.mount.get() == at.mount.get())
      return &mount;
  return nullptr;
}

Position Vfs::enter(Position at) noexcept {
  if (!at.node->is_covered()) return at;
  MountRef inside;
  {
    const coro::SpinGuard guard{lock_};
    if (Mount* mount = mount_at(at)) inside = MountRef{*mount};
  }
  if (!inside.get()) return at;
  NodeRef root = inside->root;
  return {std::move(inside), std::move(root)};
}

Result<std::unique_ptr<VfsFolder>> Vfs::open_root() noexcept {
  std::unique_ptr<VfsFolder> folder{new VfsFolder{*this, {MountRef{root_}, root_.root}}};
  if (!folder) return Error::no_memory;
  return folder;
}

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

Task<Result<void>> Vfs::mount(std::string_view path, NodeRef root, Rights rights) {
  if (root->type() != io::FileType::folder) co_return Error::not_a_folder;
  Walk walk{*this, {MountRef{root_}, root_.root}};
  CO_TRY(co_await walk.go(path));
  if (!walk.is_at(io::FileType::folder)) co_return Error::not_a_folder;
  const Position at = std::move(walk.here());
  if (at.node.get() == at.mount->root.get()) co_return Error::busy;
  CO_TRY(co_await at.node->cover());
  std::unique_ptr<Mount> fresh{new Mount{std::move(root), rights}};
  bool is_free = false;
  if (fresh) {
    fresh->covered = at;
    const coro::SpinGuard guard{lock_};
    is_free = mount_at(at) == nullptr;
    if (is_free) mounts_.push_back(*fresh);
  }
  if (!is_free) {
    at.node->uncover();
    co_return fresh ? Error::busy : Error::no_memory;
  }
  fresh.release();
  co_return Result<void>{};
}

Task<Result<void>> Vfs::unmount(std::string_view path) {
  std::unique_ptr<Mount> gone;
  {
    Position at;
    {
      Walk walk{*this, {MountRef{root_}, root_.root}};
      CO_TRY(co_await walk.go(path));
      at = std::move(walk.here());
    }
    Mount* mount = at.mount.get();
    if (mount == &root_ || at.node.get() != mount->root.get()) co_return Error::invalid_argument;
    const coro::SpinGuard guard{lock_};
    if (mount->users.load(std::memory_order_acquire) != 1) co_return Error::busy;  // ours
    mount->place.unlink();
    gone.reset(mount);
  }
  gone->covered.node->uncover();
  co_return Result<void>{};
}

#pragma clang attribute pop

Task<Result<std::unique_ptr<io::File>>> VfsFolder::open(std::string_view path, io::OpenMode mode) {
  for (unsigned races = 0;; ++races) {
    Walk walk{tree_, at_};
    const bool exclusive = mode == io::OpenMode::create_new;
    CO_TRY(co_await walk.go(path, exclusive ? Walk::Links::follow_before_last : Walk::Links::follow,
                            creates(mode) ? Walk::Missing::ends_it : Walk::Missing::is_an_error));
    Position& at = walk.here();
    if (!walk.missing().empty()) {
      CO_TRY(check_writable(at));
      auto made = co_await at.node->make(walk.missing(), io::FileType::file, {});
      if (made.failed_with(Error::already_exists) && !exclusive && races < open_races) continue;
      if (!made) co_return made.error();
      at.node = *std::move(made);
    } else if (exclusive) {
      co_return Error::already_exists;
    } else if (walk.is_at(io::FileType::folder)) {
      co_return Error::is_a_folder;
    } else if (mode != io::OpenMode::read) {
      CO_TRY(check_writable(at));
      if (mode == io::OpenMode::replace) CO_TRY(co_await at.node->truncate(0));
    }
    std::unique_ptr<io::File> file{new VfsFile{std::move(at), mode != io::OpenMode::read}};
    if (!file) co_return Error::no_memory;
    co_return file;
  }
}

Task<Result<std::unique_ptr<io::Folder>>> VfsFolder::open_folder(std::string_view path) {
  Walk walk{tree_, at_};
  CO_TRY(co_await walk.go(path));
  if (!walk.is_at(io::FileType::folder)) co_return Error::not_a_folder;
  std::unique_ptr<io::Folder> folder{new VfsFolder{tree_, std::move(walk.here())}};
  if (!folder) co_return Error::no_memory;
  co_return folder;
}

Task<Result<io::FileInfo>> VfsFolder::info(std::string_view path) {
  Walk walk{tree_, at_};
  CO_TRY(co_await walk.go(path));
  co_return co_await walk.here().node->info();
}

[[clang::coro_wrapper]] Task<Result<std::vector<io::FolderEntry>>> VfsFolder::list() {
  return at_.node->list();
}

Task<Result<VfsFolder::Place>> VfsFolder::find_place(std::string_view path) {
  const SplitPath split = CO_TRY(split_path(path));
  Walk walk{tree_, at_};
  CO_TRY(co_await walk.go(split.folder));
  if (!walk.is_at(io::FileType::folder)) co_return Error::not_a_folder;
  co_return Place{std::move(walk.here()), split.last};
}

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

Task<Result<void>> VfsFolder::make(std::string_view path, io::FileType type,
                                   std::string_view target) {
  const Place place = CO_TRY(co_await find_place(path));
  if (place.folder.mount->rights != Rights::read_write) {
    // A name that is taken is taken, whether another could be made or not.
    const auto found = co_await place.folder.node->find(place.name);
    if (found) co_return Error::already_exists;
    co_return found.failed_with(Error::not_found) ? Error::read_only : found.error();
  }
  CO_TRY(co_await place.folder.node->make(place.name, type, target));
  co_return Result<void>{};
}

[[clang::coro_wrapper]] Task<Result<void>> VfsFolder::make_folder(std::string_view path) {
  return make(path, io::FileType::folder, {});
}

Task<Result<void>> VfsFolder::make_link(std::string_view path, std::string_view target) {
  if (target.empty() || target.find('\0') != std::string_view::npos)
    co_return Error::invalid_argument;
  if (target.size() > longest_path) co_return Error::too_large;
  co_return co_await make(path, io::FileType::link, target);
}

Task<Result<std::string>> VfsFolder::read_link(std::string_view path) {
  Walk walk{tree_, at_};
  CO_TRY(co_await walk.go(path, Walk::Links::follow_before_last));
  if (!walk.is_at(io::FileType::link)) co_return Error::wrong_type;
  co_return std::string{walk.here().node->target()};
}

Task<Result<void>> VfsFolder::remove(std::string_view path) {
  const Place place = CO_TRY(co_await find_place(path));
  CO_TRY(check_writable(place.folder));
  co_return co_await place.folder.node->remove(place.name);
}

Task<Result<void>> VfsFolder::rename(std::string_view from, std::string_view to) {
  const Place source = CO_TRY(co_await find_place(from));
  const Place target = CO_TRY(co_await find_place(to));
  if (source.folder.mount.get() != target.folder.mount.get()) co_return Error::not_supported;
  CO_TRY(check_writable(source.folder));
  co_return co_await source.folder.node->rename(source.name, *target.folder.node, target.name);
}

}  // namespace lichen::fs

#pragma clang attribute pop
