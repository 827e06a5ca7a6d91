// The contract of block devices: a row of sectors of equal size that stay. Who keeps files or a
// database on one need not know whether it is a virtio disk, a file of the host or a simulated
// disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"

namespace lichen::io {

struct BlockInfo {
  std::uint32_t sector_size = 512;  // bytes; a power of two, 512 at least
  std::uint64_t sectors = 0;        // may change while the device is in use
  bool read_only = false;
  // What was written is safe only after a flush. Else it is when the write has returned.
  bool volatile_cache = true;
  bool discards = false;
  bool writes_zeroes = false;
  // How it works best, as far as it says so: writes of whole pieces of `best_write` bytes, which
  // begin `first_aligned` sectors from the start and follow each other; and transfers of
  // `best_transfer` bytes (0: nothing was said).
  std::uint32_t best_write = 512;
  std::uint32_t first_aligned = 0;
  std::uint32_t best_transfer = 0;
};

// Any number of calls may be in progress, of tasks on any core. Each is done as soon as the device
// can: between two of which neither has returned there is no order at all, so whoever needs one
// waits for the first. Where two writes meet that are in progress, each sector ends as one of them.
//
// Positions are numbers of sectors. Buffers are borrowed until the call returns, and are whole
// sectors each; the device reads and writes them where they lie, so they are in memory that came
// from the heap, the frame pools or the image.
//
// A write that has returned is seen by every read that begins then. It is safe, which means that it
// outlives a crash of device and machine, when a flush that began after it has returned without an
// error. Of a write that is not safe at a crash each sector is, for itself, what it was or what it
// should be, or torn in the middle.
//
// A call that is asked to stop hands the device nothing more, waits for what it has, and ends with
// Error::stopped if something is missing. After any error an unknown part of the work is done.
//
// Errors of all: invalid_argument (no bytes, or no whole sectors; memory that the device cannot
// reach), out_of_range, read_only, not_supported (see BlockInfo), io_failed (the device says so, or
// has broken down while it worked on it), no_space (what it keeps its sectors in, such as a file of
// a host, has no room for those that were never written), no_memory, closed (it was taken away),
// stopped.
class BlockDevice {
 public:
  virtual ~BlockDevice() = default;

  // Both of several pieces, one after the other (scatter and gather). What is longer than the
  // device takes at a time is cut.
  virtual Task<Result<void>> read_pieces(std::uint64_t sector,
                                         std::span<const std::span<std::byte>> into) = 0;
  virtual Task<Result<void>> write_pieces(std::uint64_t sector,
                                          std::span<const std::span<const std::byte>> from) = 0;
  // Makes safe what was written by calls that have returned. If it fails nobody knows what is safe
  // of what was written since the last one that did not: write it again. The device may have been
  // reset without having been asked to; then the next flush says io_failed, once, if anything was
  // written and not flushed before.
  virtual Task<Result<void>> flush() = 0;
  // These sectors are not needed any more. Until they are written anew reads yield anything. It is
  // advice: what becomes of it nobody can tell.
  virtual Task<Result<void>> discard(std::uint64_t sector, std::uint64_t count) = 0;
  // As a write of zeroes, which the device does by itself. `unmap`: it may give up the room.
  virtual Task<Result<void>> write_zeroes(std::uint64_t sector, std::uint64_t count,
                                          bool unmap) = 0;

  // On any core.
  [[nodiscard]] virtual BlockInfo info() const noexcept = 0;

  // Of one piece.
  Task<Result<void>> read(std::uint64_t sector, std::span<std::byte> into);
  Task<Result<void>> write(std::uint64_t sector, std::span<const std::byte> from);
};

// For implementations: errors that need no device. Yields the number of sectors.
Result<std::uint64_t> check_blocks(const BlockInfo& info, std::uint64_t sector,
                                   std::span<const std::span<std::byte>> into) noexcept;
Result<std::uint64_t> check_blocks(const BlockInfo& info, std::uint64_t sector,
                                   std::span<const std::span<const std::byte>> from) noexcept;
Result<void> check_block_range(const BlockInfo& info, std::uint64_t sector,
                               std::uint64_t count) noexcept;

}  // namespace lichen::io
