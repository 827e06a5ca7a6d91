#include "lichen/driver/linux/disk.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "lichen/base/error_map.hpp"
#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/hooks.hpp"

namespace lichen::driver {

namespace {

constexpr std::size_t most_pieces = 16;             // in one request
constexpr std::size_t most_bytes = 4UL << 20;       // in one request: who is stopped waits for it
constexpr std::size_t most_copied = 256UL << 10;    // at a time
constexpr std::uint32_t largest_alignment = 4'096;  // with more the host's cache is better

Error refuse(std::string_view path, std::string_view why, Error error) noexcept {
  base::log::error("disk {}: {}", path, why);
  return error;
}

// How QEMU says what it does with an image, and what others may not do meanwhile (its
// docs/system/qemu-block-drivers, "Disk image file locking"): locks of single bytes that all may
// share. We say it in the same way, so that neither it nor a second one of us writes what we use.
constexpr off_t does = 100;
constexpr off_t refuses = 200;
constexpr off_t to_read = 0;
constexpr off_t to_write = 1;

struct flock lock_of(off_t byte, short type) noexcept {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}
bool is_said_by_others(int fd, off_t byte) noexcept {
  struct flock lock = lock_of(byte, F_WRLCK);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
// False: somebody else has it. Where the file system knows no locks nobody can tell.
bool claim(int fd, bool read_only) noexcept {
  for (const off_t byte : {does + to_read, refuses + to_write, does + to_write}) {
    if (byte == does + to_write && read_only) continue;
    struct flock lock = lock_of(byte, F_RDLCK);
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0) return errno != EAGAIN && errno != EACCES;
  }
  return !is_said_by_others(fd, does + to_write) &&
         (read_only || !is_said_by_others(fd, refuses + to_write));
}

Result<Descriptor> open_path(const std::string& path, const HostDiskOptions& options) noexcept {
  struct stat found{};
  if (stat(path.c_str(), &found) < 0) {
    const Error error = from_errno(errno);
    return refuse(path,
                  error == Error::not_found
                      ? "there is no such file; `truncate -s 64M FILE` makes one"
                      : base::describe(error),
                  error);
  }
  const bool is_block_device = S_ISBLK(found.st_mode);
  if (!S_ISREG(found.st_mode) && !is_block_device)
    return refuse(path, "it is neither a file nor a block device", Error::wrong_type);
  int flags = O_CLOEXEC | (options.read_only ? O_RDONLY : O_RDWR);
  if (is_block_device && !options.read_only) flags |= O_EXCL;  // not beside a mounted file system
  int fd = options.direct ? open(path.c_str(), flags | O_DIRECT) : -1;
  if (fd < 0 && (!options.direct || errno == EINVAL)) fd = open(path.c_str(), flags);
  if (fd >= 0) return Descriptor{fd};
  const Error error = from_errno(errno);
  switch (error) {
    case Error::access_denied:
    case Error::read_only:
      return refuse(
          path,
          options.read_only ? "it may not be read" : "it may not be written; FILE:ro only reads it",
          error);
    case Error::busy: return refuse(path, "it is in use, perhaps as a mounted file system", error);
    default: return refuse(path, base::describe(error), error);
  }
}

// A number that the kernel tells of a block device; 0 where it tells nothing.
std::uint64_t limit_of(dev_t device, std::string_view name) noexcept {
  // A partition's are those of its disk.
  for (const std::string_view where : {"queue", "../queue"}) {
    std::array<char, 128> room;
    const auto path = base::format_to(room, "/sys/dev/block/{}:{}/{}/{}", major(device),
                                      minor(device), where, name);
    std::array<char, 32> text{};
    const std::string zero_at_end{path.text};
    const Descriptor file{::open(zero_at_end.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.get() < 0 || ::read(file.get(), text.data(), text.size() - 1) <= 0) continue;
    std::uint64_t value = 0;
    for (const char digit : text) {
      if (digit < '0' || digit > '9') break;
      value = value * 10 + static_cast<std::uint64_t>(digit - '0');
    }
    return value;
  }
  return 0;
}

// Memory that the device reaches, of the task that asks.
class Copy {
 public:
  explicit Copy(std::uint32_t alignment) noexcept : alignment_{alignment} {}
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() { free(); }

  // Room for `size` bytes, whose content is lost. Error::no_memory.
  Result<void> make(std::size_t size) noexcept {
    if (bytes_.size() >= size) return {};
    free();
    memory_ = coro::hooks::allocate_frame(size + alignment_);
    if (!memory_) return Error::no_memory;
    const auto begin = reinterpret_cast<std::uintptr_t>(memory_);
    const std::size_t unaligned = begin % alignment_;
    bytes_ = {static_cast<std::byte*>(memory_) + (unaligned != 0 ? alignment_ - unaligned : 0),
              size};
    return {};
  }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  void free() noexcept {
    if (memory_) coro::hooks::free_frame(memory_, bytes_.size() + alignment_);
    memory_ = nullptr;
    bytes_ = {};
  }

  const std::uint32_t alignment_;
  void* memory_ = nullptr;
  std::span<std::byte> bytes_;
};

}  // namespace

// What of a call's pieces is not moved yet.
struct HostDisk::Transfer {
  std::uint64_t at;  // bytes from the start of the disk
  std::span<const std::span<std::byte>> into;
  std::span<const std::span<const std::byte>> from;
  bool write;
  std::size_t piece = 0;
  std::size_t offset = 0;  // in that piece

  [[nodiscard]] std::size_t pieces() const noexcept { return write ? from.size() : into.size(); }
  [[nodiscard]] iovec part(std::size_t index) const noexcept {
    const std::size_t begun = index == piece ? offset : 0;
    if (write) {  // the kernel only reads it
      const std::span<const std::byte> rest = from[index].subspan(begun);
      return {const_cast<std::byte*>(rest.data()), rest.size()};
    }
    const std::span<std::byte> rest = into[index].subspan(begun);
    return {rest.data(), rest.size()};
  }
  // False: nothing is left.
  bool find_next() noexcept {
    while (piece < pieces() && part(piece).iov_len == 0) {
      ++piece;
      offset = 0;
    }
    return piece < pieces();
  }
  void advance(std::size_t bytes) noexcept {
    at += bytes;
    while (bytes != 0) {
      const std::size_t step = std::min(bytes, part(piece).iov_len);
      offset += step;
      bytes -= step;
      if (bytes == 0) break;
      ++piece;
      offset = 0;
    }
  }
  // The next parts that can be moved where they lie, as far as one request takes them.
  [[nodiscard]] unsigned collect(std::array<iovec, most_pieces>& parts,
                                 std::uint32_t alignment) const noexcept {
    unsigned count = 0;
    std::size_t size = 0;
    for (std::size_t i = piece; i < pieces() && count < parts.size() && size < most_bytes; ++i) {
      iovec next = part(i);
      if (next.iov_len == 0) continue;
      if (reinterpret_cast<std::uintptr_t>(next.iov_base) % alignment != 0) break;
      next.iov_len = std::min(next.iov_len, most_bytes - size);
      size += next.iov_len;
      parts[count++] = next;
    }
    return count;
  }
};

Result<std::unique_ptr<HostDisk>> HostDisk::open(UringCores& cores, std::string_view path,
                                                 const HostDiskOptions& options) {
  Descriptor fd = TRY(open_path(std::string{path}, options));
  if (!claim(fd.get(), options.read_only))
    return refuse(path, "another machine has it (QEMU, or another Lichen); end that one first",
                  Error::busy);
  std::unique_ptr<HostDisk> disk{new (std::nothrow) HostDisk{cores, path, std::move(fd)}};
  if (!disk) return Error::no_memory;
  TRY(disk->look_at(options));
  return disk;
}

Result<void> HostDisk::look_at(const HostDiskOptions& options) noexcept {
  info_.read_only = options.read_only;
  info_.volatile_cache = !options.read_only;
  struct stat found{};
  if (fstat(fd_.get(), &found) < 0)
    return refuse(path_, base::describe(from_errno(errno)), Error::io_failed);
  if (S_ISBLK(found.st_mode))
    look_at_block_device(found);
  else
    look_at_file(found);
  const off_t size = lseek(fd_.get(), 0, SEEK_END);
  if (size < 0) return refuse(path_, base::describe(from_errno(errno)), Error::io_failed);
  if (size == 0)
    return refuse(path_, "it has no bytes; `truncate -s 64M FILE` gives it some",
                  Error::invalid_argument);
  if (static_cast<std::uint64_t>(size) % info_.sector_size != 0)
    return refuse(path_, "a disk has sectors of 512 bytes, and the last one is not whole",
                  Error::invalid_argument);
  sectors_.store(static_cast<std::uint64_t>(size) / info_.sector_size);
  find_alignment();
  if (info_.read_only) return {};
  info_.discards = punches_;
  info_.writes_zeroes = true;
  return {};
}

void HostDisk::look_at_block_device(const struct stat& found) noexcept {
  int sector = 0;
  unsigned value = 0;
  if (ioctl(fd_.get(), BLKSSZGET, &sector) == 0 && sector >= 512)
    info_.sector_size = static_cast<std::uint32_t>(sector);
  info_.best_write = info_.sector_size;
  if (ioctl(fd_.get(), BLKPBSZGET, &value) == 0) info_.best_write = std::max(value, 512U);
  if (ioctl(fd_.get(), BLKIOOPT, &value) == 0) info_.best_transfer = value;
  punches_ = limit_of(found.st_rdev, "write_zeroes_max_bytes") != 0 &&
             limit_of(found.st_rdev, "discard_max_bytes") != 0;
}

void HostDisk::look_at_file(const struct stat& found) noexcept {
  info_.best_write = std::bit_ceil(static_cast<std::uint32_t>(std::max(found.st_blksize, 512L)));
  // A hole behind the end, where nothing is.
  punches_ = !info_.read_only && fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                           found.st_size, info_.best_write) == 0;
}

// Whether O_DIRECT holds for whole sectors, and how memory has to lie for it.
void HostDisk::find_alignment() noexcept {
  const int flags = fcntl(fd_.get(), F_GETFL);
  if ((flags & O_DIRECT) == 0) return;
  std::uint32_t offsets = info_.sector_size;
  memory_alignment_ = info_.sector_size;
  struct statx found;
  if (statx(fd_.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &found) == 0 &&
      (found.stx_mask & STATX_DIOALIGN) != 0) {
    offsets = found.stx_dio_offset_align;
    memory_alignment_ = found.stx_dio_mem_align;
  }
  // Where the kernel does not tell, a read does.
  Copy sector{largest_alignment};
  const bool works =
      offsets != 0 && offsets <= info_.sector_size && memory_alignment_ > 1 &&
      memory_alignment_ <= largest_alignment && sector.make(info_.sector_size) &&
      (pread(fd_.get(), sector.bytes().data(), info_.sector_size, 0) >= 0 || errno != EINVAL);
  if (works) return;
  memory_alignment_ = 1;
  fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT);
}

io::BlockInfo HostDisk::info() const noexcept {
  io::BlockInfo info = info_;
  info.sectors = sectors_.load(std::memory_order_relaxed);
  return info;
}

// It was cut behind our back.
void HostDisk::look_at_size() noexcept {
  const off_t size = lseek(fd_.get(), 0, SEEK_END);
  if (size < 0) return;
  const std::uint64_t now = static_cast<std::uint64_t>(size) / info_.sector_size;
  const std::uint64_t before = sectors_.exchange(now);
  if (now != before)
    base::log::error("disk {}: it had {} sectors, and now has {}", path_, before, now);
}

// What the contract knows for it.
Error HostDisk::failed(std::string_view what, Error error) noexcept {
  if (error == Error::stopped || error == Error::no_memory) return error;
  if (!told_.exchange(true)) base::log::error("disk {}: {}: {}", path_, what, error);
  switch (error) {
    case Error::no_space:
    case Error::read_only: return error;
    case Error::not_found: return Error::closed;  // the host has lost its device
    default: return Error::io_failed;
  }
}

Task<Result<void>> HostDisk::move(Transfer transfer) {
  std::array<iovec, most_pieces> parts;
  Copy copy{memory_alignment_};
  while (transfer.find_next()) {
    unsigned count = transfer.collect(parts, memory_alignment_);
    std::span<std::byte> copied;
    if (count == 0) {
      const iovec rest = transfer.part(transfer.piece);
      const std::size_t size = std::min(rest.iov_len, most_copied);
      CO_TRY(copy.make(size));
      copied = copy.bytes().first(size);
      if (transfer.write) std::memcpy(copied.data(), rest.iov_base, copied.size());
      parts[0] = {copied.data(), copied.size()};
      count = 1;
    }
    const Result<unsigned> moved = co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
      sqe.fd = fd_.get();
      sqe.off = transfer.at;
      if (count == 1) {
        sqe.opcode = transfer.write ? IORING_OP_WRITE : IORING_OP_READ;
        sqe.addr = reinterpret_cast<std::uint64_t>(parts[0].iov_base);
        sqe.len = static_cast<std::uint32_t>(parts[0].iov_len);
      } else {
        sqe.opcode = transfer.write ? IORING_OP_WRITEV : IORING_OP_READV;
        sqe.addr = reinterpret_cast<std::uint64_t>(parts.data());
        sqe.len = count;
      }
    });
    if (moved.failed_with(Error::interrupted)) continue;
    if (!moved) co_return failed(transfer.write ? "writing" : "reading", moved.error());
    // Part of a sector is what was left of the file, or of the room for it.
    const std::size_t whole = *moved - *moved % info_.sector_size;
    if (whole == 0 && transfer.write) co_return failed("writing", Error::no_space);
    if (whole == 0) {
      look_at_size();
      co_return Error::io_failed;
    }
    if (!copied.empty() && !transfer.write)
      std::memcpy(transfer.part(transfer.piece).iov_base, copied.data(), whole);
    transfer.advance(whole);
  }
  co_return Result<void>{};
}

Task<Result<void>> HostDisk::read_pieces(std::uint64_t sector,
                                         std::span<const std::span<std::byte>> into) {
  CO_TRY(io::check_blocks(info(), sector, into));
  co_return co_await move(
      {.at = sector * info_.sector_size, .into = into, .from = {}, .write = false});
}

Task<Result<void>> HostDisk::write_pieces(std::uint64_t sector,
                                          std::span<const std::span<const std::byte>> from) {
  CO_TRY(io::check_blocks(info(), sector, from));
  if (info_.read_only) co_return Error::read_only;
  co_return co_await move(
      {.at = sector * info_.sector_size, .into = {}, .from = from, .write = true});
}

Task<Result<void>> HostDisk::flush() {
  if (info_.read_only) co_return Result<void>{};
  const std::uint64_t begun = flushes_begun_.load();
  const std::uint64_t failed_before = flushes_failed_.load();
  const coro::Mutex::Guard turn = CO_TRY(co_await flushing_.lock());
  if (flushes_failed_.load() != failed_before) co_return Error::io_failed;
  if (last_good_flush_ > begun) co_return Result<void>{};  // it began after we were called
  const std::uint64_t number = ++flushes_begun_;
  for (;;) {
    const Result<unsigned> done = co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
      sqe.opcode = IORING_OP_FSYNC;
      sqe.fd = fd_.get();
      sqe.fsync_flags = IORING_FSYNC_DATASYNC;
    });
    if (done) break;
    if (done.failed_with(Error::interrupted)) continue;
    if (!done.failed_with(Error::stopped)) ++flushes_failed_;
    co_return failed("flushing", done.error());
  }
  last_good_flush_ = number;
  co_return Result<void>{};
}

Task<Result<void>> HostDisk::allocate(int mode, std::uint64_t sector, std::uint64_t count) {
  for (;;) {
    const Result<unsigned> done = co_await cores_.here().submit([&](io_uring_sqe& sqe) noexcept {
      sqe.opcode = IORING_OP_FALLOCATE;
      sqe.fd = fd_.get();
      sqe.off = sector * info_.sector_size;
      sqe.addr = count * info_.sector_size;
      sqe.len = static_cast<std::uint32_t>(mode | FALLOC_FL_KEEP_SIZE);
    });
    if (done) co_return Result<void>{};
    if (!done.failed_with(Error::interrupted)) co_return done.error();
  }
}

Task<Result<void>> HostDisk::discard(std::uint64_t sector, std::uint64_t count) {
  CO_TRY(io::check_block_range(info(), sector, count));
  if (info_.read_only) co_return Error::read_only;
  if (!punches_) co_return Error::not_supported;
  const Result<void> done = co_await allocate(FALLOC_FL_PUNCH_HOLE, sector, count);
  // A device may have found out since (a loop device over a tmpfs does); then it keeps all it has.
  if (!done && !done.failed_with(Error::not_supported))
    co_return failed("discarding", done.error());
  co_return Result<void>{};
}

Task<Result<void>> HostDisk::write_zeroes(std::uint64_t sector, std::uint64_t count, bool unmap) {
  CO_TRY(io::check_block_range(info(), sector, count));
  if (info_.read_only) co_return Error::read_only;
  if (unmap && punches_) {
    const Result<void> done = co_await allocate(FALLOC_FL_PUNCH_HOLE, sector, count);
    if (done) co_return done;
    if (!done.failed_with(Error::not_supported)) co_return failed("writing zeroes", done.error());
  }
  if (zeroes_ranges_.load(std::memory_order_relaxed)) {
    const Result<void> done = co_await allocate(FALLOC_FL_ZERO_RANGE, sector, count);
    if (done) co_return done;
    if (!done.failed_with(Error::not_supported)) co_return failed("writing zeroes", done.error());
    zeroes_ranges_.store(false, std::memory_order_relaxed);
  }
  alignas(largest_alignment) static constexpr std::array<std::byte, 65'536> zeroes{};
  while (count != 0) {
    const std::uint64_t step = std::min<std::uint64_t>(count, zeroes.size() / info_.sector_size);
    CO_TRY(co_await write(sector, std::span{zeroes}.first(step * info_.sector_size)));
    sector += step;
    count -= step;
  }
  co_return Result<void>{};
}

}  // namespace lichen::driver
