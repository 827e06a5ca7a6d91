#include "lichen/driver/linux/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lichen/base/error_map.hpp"

namespace lichen::driver {

namespace {

constexpr std::size_t request_limit = 1U << 30;  // bytes in one request
constexpr unsigned operation_ftruncate = 55;  // IORING_OP_FTRUNCATE, newer than our kernel headers

void fill(io_uring_sqe& sqe, unsigned operation, int fd, std::uint64_t offset, const void* bytes,
          std::size_t size) noexcept {
  sqe.opcode = static_cast<std::uint8_t>(operation);
  sqe.fd = fd;
  sqe.off = offset;
  sqe.addr = reinterpret_cast<std::uint64_t>(bytes);
  sqe.len = static_cast<std::uint32_t>(std::min(size, request_limit));
}

// Files are opened so that a pipe with a name cannot hold us up. Where a file system cannot tell
// whether it would wait, that flag makes a read fail; then it is taken back. True when that helps.
bool let_it_wait(int fd, Error error) noexcept {
  if (error != Error::would_block) return false;
  const int flags = fcntl(fd, F_GETFL);
  return (flags & O_NONBLOCK) != 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

}  // namespace

Result<io::FileInfo> info_of(int fd) noexcept {
  struct statx found;
  constexpr unsigned wanted = STATX_TYPE | STATX_SIZE | STATX_MTIME | STATX_INO;
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, wanted, &found) < 0)
    return from_errno(errno);
  io::FileInfo info;
  info.type = S_ISREG(found.stx_mode)   ? io::FileType::file
              : S_ISDIR(found.stx_mode) ? io::FileType::folder
              : S_ISLNK(found.stx_mode) ? io::FileType::link
                                        : io::FileType::other;
  info.size = found.stx_size;
  info.modified_ns = found.stx_mtime.tv_sec * 1'000'000'000 + found.stx_mtime.tv_nsec;
  info.inode = found.stx_ino;
  return info;
}

Task<Result<std::size_t>> HostFile::read_at(std::uint64_t offset, std::span<std::byte> into) {
  std::size_t total = 0;
  while (total < into.size()) {
    const auto rest = into.subspan(total);
    const Result<unsigned> size = co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
      fill(sqe, IORING_OP_READ, fd_.get(), offset + total, rest.data(), rest.size());
    });
    if (!size) {
      if (let_it_wait(fd_.get(), size.error())) continue;
      co_return size.error();
    }
    if (*size == 0) break;
    total += *size;
  }
  co_return total;
}

Task<Result<void>> HostFile::write_at(std::uint64_t offset, std::span<const std::byte> from) {
  while (!from.empty()) {
    const Result<unsigned> size = co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
      fill(sqe, IORING_OP_WRITE, fd_.get(), offset, from.data(), from.size());
    });
    if (!size) {
      if (let_it_wait(fd_.get(), size.error())) continue;
      co_return size.error();
    }
    if (*size == 0) co_return Error::no_space;
    offset += *size;
    from = from.subspan(*size);
  }
  co_return Result<void>{};
}

// The ring would hand this to a thread of the kernel; the answer is in memory already.
Task<Result<io::FileInfo>> HostFile::info() { co_return info_of(fd_.get()); }

Task<Result<void>> HostFile::truncate(std::uint64_t size) {
  UringCore& core = cores_.here();
  if (!core.features().has(Feature::truncate)) {
    co_return co_await helpers_.run(core, [fd = fd_.get(), size]() noexcept -> Result<void> {
      if (ftruncate(fd, static_cast<off_t>(size)) < 0) return from_errno(errno);
      return {};
    });
  }
  CO_TRY(co_await core.submit([&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = operation_ftruncate;
    sqe.fd = fd_.get();
    sqe.off = size;
  }));
  co_return Result<void>{};
}

Task<Result<void>> HostFile::sync() {
  CO_TRY(co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_FSYNC;
    sqe.fd = fd_.get();
  }));
  co_return Result<void>{};
}

}  // namespace lichen::driver
