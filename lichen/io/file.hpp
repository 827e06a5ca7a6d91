// The contracts of files and folders. A Folder is a capability: nothing outside it can be named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"

namespace lichen::io {

enum class FileType : std::uint8_t { file, folder, link, other };

struct FileInfo {
  FileType type = FileType::other;
  std::uint64_t size = 0;        // bytes
  std::int64_t modified_ns = 0;  // nanoseconds since 1970-01-01 00:00 UTC
  std::uint64_t inode = 0;       // identity within its medium
};

struct FolderEntry {
  std::string name;
  FileType type = FileType::other;
};

// Positions are given with every call, so reads and writes of one file may overlap in time.
class File {
 public:
  virtual ~File() = default;
  // Returns the number of bytes read; fewer than asked only at the end of the file, 0 past it.
  virtual Task<Result<std::size_t>> read_at(std::uint64_t offset, std::span<std::byte> into) = 0;
  // Writes all of `from` or fails (Error::no_space when the medium is full).
  virtual Task<Result<void>> write_at(std::uint64_t offset, std::span<const std::byte> from) = 0;
  virtual Task<Result<FileInfo>> info() = 0;
  virtual Task<Result<void>> truncate(std::uint64_t size) = 0;
  // Returns when everything written is on the medium.
  virtual Task<Result<void>> sync() = 0;
  // All bytes of the file where they rest in memory for as long as it is open, never to change:
  // what need not be read. Nothing where that is not so.
  [[nodiscard]] virtual std::span<const std::byte> resident() const noexcept { return {}; }
};

enum class OpenMode : std::uint8_t {
  read,        // must exist
  write,       // read and write, must exist
  create,      // read and write, made if missing
  create_new,  // read and write, Error::already_exists if there
  replace,     // read and write, made if missing, emptied if there
};

// Paths are relative, with '/' between components. A path that leads out of the folder, by "..", by
// an absolute path or through a symbolic link, fails with Error::path_escapes.
class Folder {
 public:
  virtual ~Folder() = default;
  virtual Task<Result<std::unique_ptr<File>>> open(std::string_view path, OpenMode mode) = 0;
  virtual Task<Result<std::unique_ptr<Folder>>> open_folder(std::string_view path) = 0;
  virtual Task<Result<FileInfo>> info(std::string_view path) = 0;
  // The folder's entries without "." and "..", in no particular order.
  virtual Task<Result<std::vector<FolderEntry>>> list() = 0;
  virtual Task<Result<void>> make_folder(std::string_view path) = 0;
  virtual Task<Result<void>> remove(std::string_view path) = 0;
  // Atomic where the medium can; replaces `to` if it is there.
  virtual Task<Result<void>> rename(std::string_view from, std::string_view to) = 0;
};

}  // namespace lichen::io
