#include "lichen/driver/linux/folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <new>
#include <string>

#include "lichen/base/error_map.hpp"
#include "lichen/driver/linux/file.hpp"

namespace lichen::driver {

namespace {

constexpr int folder_flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
constexpr mode_t file_mode = 0666;
constexpr mode_t folder_mode = 0777;
constexpr int rename_races = 16;  // times a path may be renamed under our feet before we give up

int flags_of(io::OpenMode mode) noexcept {
  // A pipe with a name is opened without waiting for its other end, a terminal does not become
  // ours.
  constexpr int always = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  switch (mode) {
    case io::OpenMode::read: return always | O_RDONLY;
    case io::OpenMode::write: return always | O_RDWR;
    case io::OpenMode::create: return always | O_RDWR | O_CREAT;
    case io::OpenMode::create_new: return always | O_RDWR | O_CREAT | O_EXCL;
    case io::OpenMode::replace: return always | O_RDWR | O_CREAT | O_TRUNC;
  }
  return always;
}

Result<std::vector<io::FolderEntry>> list_folder(int folder) {
  const int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return from_errno(errno);
  DIR* stream = fdopendir(fd);
  if (!stream) {
    const Error error = from_errno(errno);
    ::close(fd);
    return error;
  }
  std::vector<io::FolderEntry> entries;
  errno = 0;
  while (const dirent* found = readdir(stream)) {
    const std::string_view name{found->d_name};
    if (name == "." || name == "..") continue;
    io::FileType type = io::FileType::other;
    unsigned char kind = found->d_type;
    if (kind == DT_UNKNOWN) {
      struct stat info;
      if (fstatat(folder, found->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0)
        kind = IFTODT(info.st_mode);
      errno = 0;
    }
    if (kind == DT_REG) type = io::FileType::file;
    if (kind == DT_DIR) type = io::FileType::folder;
    if (kind == DT_LNK) type = io::FileType::link;
    entries.push_back({std::string{name}, type});
  }
  const int error = errno;
  closedir(stream);
  if (error != 0) return from_errno(error);
  return entries;
}

}  // namespace

Result<int> walk_beneath(int folder, std::string_view path, int flags) noexcept {
  Descriptor held;
  int at = folder;
  for (;;) {
    while (path.starts_with('/')) path.remove_prefix(1);
    const std::size_t slash = path.find('/');
    const std::string_view rest =
        slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    const bool last = rest.find_first_not_of('/') == std::string_view::npos;
    const std::string_view component = path.empty() ? "." : path.substr(0, slash);
    if (component == "..") return Error::path_escapes;
    PathText name = TRY(PathText::create(component));
    // "x/" names a folder.
    const int how = !last                             ? folder_flags
                    : slash == std::string_view::npos ? flags
                                                      : flags | O_DIRECTORY;
    const int fd = openat(at, name.c_str(), how | O_NOFOLLOW, file_mode);
    if (fd < 0) {
      const int error = errno;
      struct stat info;
      const bool link = (error == ELOOP || error == ENOTDIR) &&
                        fstatat(at, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                        S_ISLNK(info.st_mode);
      return link ? Error::path_escapes : from_errno(error);
    }
    held = Descriptor{fd};
    // O_PATH opens a link itself.
    struct stat info;
    if ((how & O_PATH) && fstat(fd, &info) == 0 && S_ISLNK(info.st_mode))
      return Error::path_escapes;
    if (last) return held.release();
    at = fd;
    path = rest;
  }
}

Task<Result<Descriptor>> HostFolder::open_beneath(std::string_view path, int flags) {
  const PathText text = CO_TRY(PathText::create(path));
  UringCore& core = cores_.here();
  if (!core.features().has(Feature::open_beneath)) {
    // The copy of the path is the work's own, and so is that of the descriptor.
    const int folder = fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0);
    if (folder < 0) co_return from_errno(errno);
    co_return co_await helpers_.run(core,
                                    [held = Descriptor{folder}, path = std::string{path},
                                     flags]() noexcept -> Result<Descriptor> {
                                      return Descriptor{TRY(walk_beneath(held.get(), path, flags))};
                                    });
  }
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  if (flags & O_CREAT) how.mode = file_mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int races = 0;; ++races) {
    const Result<unsigned> fd = co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
      sqe.opcode = IORING_OP_OPENAT2;
      sqe.fd = fd_.get();
      sqe.addr = reinterpret_cast<std::uint64_t>(text.c_str());
      sqe.addr2 = reinterpret_cast<std::uint64_t>(&how);
      sqe.len = sizeof how;
    });
    if (fd) co_return Descriptor{static_cast<int>(*fd)};
    if (fd.failed_with(Error::would_block) && races < rename_races) continue;
    co_return fd.error();
  }
}

Task<Result<std::unique_ptr<io::Folder>>> HostFolder::open_unbound(UringCores& cores,
                                                                   HelperThreads& helpers,
                                                                   std::string_view path) {
  const PathText text = CO_TRY(PathText::create_unbound(path));
  const unsigned fd = CO_TRY(co_await cores.here().submit([&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_OPENAT;
    sqe.fd = AT_FDCWD;
    sqe.addr = reinterpret_cast<std::uint64_t>(text.c_str());
    sqe.open_flags = folder_flags;
  }));
  Descriptor folder{static_cast<int>(fd)};
  co_return std::unique_ptr<io::Folder>{
      std::make_unique<HostFolder>(cores, helpers, std::move(folder))};
}

Task<Result<std::unique_ptr<io::File>>> HostFolder::open(std::string_view path, io::OpenMode mode) {
  Descriptor fd = CO_TRY(co_await open_beneath(path, flags_of(mode)));
  const io::FileInfo info = CO_TRY(info_of(fd.get()));
  if (info.type == io::FileType::folder) co_return Error::is_a_folder;
  std::unique_ptr<io::File> file{new HostFile{cores_, helpers_, std::move(fd)}};
  if (!file) co_return Error::no_memory;
  co_return file;
}

Task<Result<std::unique_ptr<io::Folder>>> HostFolder::open_folder(std::string_view path) {
  Descriptor fd = CO_TRY(co_await open_beneath(path, folder_flags));
  co_return std::unique_ptr<io::Folder>{
      std::make_unique<HostFolder>(cores_, helpers_, std::move(fd))};
}

Task<Result<io::FileInfo>> HostFolder::info(std::string_view path) {
  const Descriptor fd = CO_TRY(co_await open_beneath(path, O_PATH | O_CLOEXEC));
  co_return info_of(fd.get());
}

Task<Result<std::vector<io::FolderEntry>>> HostFolder::list() {
  const int folder = fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0);
  if (folder < 0) co_return from_errno(errno);
  co_return co_await helpers_.run(
      cores_.here(), [held = Descriptor{folder}]() noexcept { return list_folder(held.get()); });
}

Task<Result<HostFolder::Place>> HostFolder::find_place(std::string_view path) {
  const SplitPath split = CO_TRY(split_path(path));
  PathText name = CO_TRY(PathText::create(split.last));
  Descriptor folder;
  if (!split.folder.empty()) folder = CO_TRY(co_await open_beneath(split.folder, folder_flags));
  co_return Place{std::move(folder), std::move(name)};
}

Task<Result<void>> HostFolder::make_folder(std::string_view path) {
  const Place place = CO_TRY(co_await find_place(path));
  CO_TRY(co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_MKDIRAT;
    sqe.fd = descriptor_of(place);
    sqe.addr = reinterpret_cast<std::uint64_t>(place.name.c_str());
    sqe.len = folder_mode;
  }));
  co_return Result<void>{};
}

Task<Result<void>> HostFolder::remove(std::string_view path) {
  const Place place = CO_TRY(co_await find_place(path));
  int flags = 0;
  auto unlink = [&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_UNLINKAT;
    sqe.fd = descriptor_of(place);
    sqe.addr = reinterpret_cast<std::uint64_t>(place.name.c_str());
    sqe.unlink_flags = static_cast<std::uint32_t>(flags);
  };
  Result<unsigned> removed = co_await cores_.here().submit(unlink);
  if (removed.failed_with(Error::is_a_folder)) {
    flags = AT_REMOVEDIR;
    removed = co_await cores_.here().submit(unlink);
  }
  CO_TRY(removed);
  co_return Result<void>{};
}

Task<Result<void>> HostFolder::rename(std::string_view from, std::string_view to) {
  const Place source = CO_TRY(co_await find_place(from));
  const Place target = CO_TRY(co_await find_place(to));
  CO_TRY(co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_RENAMEAT;
    sqe.fd = descriptor_of(source);
    sqe.addr = reinterpret_cast<std::uint64_t>(source.name.c_str());
    sqe.len = static_cast<std::uint32_t>(descriptor_of(target));
    sqe.addr2 = reinterpret_cast<std::uint64_t>(target.name.c_str());
  }));
  co_return Result<void>{};
}

}  // namespace lichen::driver
