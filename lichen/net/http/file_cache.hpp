// FileCache: the files of a folder that were asked for last, opened or in memory, with what HTTP
// says of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/base/span.hpp"
#include "lichen/base/text_buffer.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/file.hpp"
#include "lichen/net/http/block.hpp"
#include "lichen/net/http/date.hpp"

namespace lichen::net::http {

struct FileCacheOptions {
  std::size_t bytes = 16 << 20;       // of content that may rest in memory
  std::size_t file_bytes = 64 << 10;  // a larger file is read anew for each response
  std::size_t files = 1'024;
  // So long a file is served as it was found before it is looked at again; 0: looked at each time.
  Duration recheck = std::chrono::seconds{1};
};

// One representation: a file as it was when it was opened.
struct CachedFile {
  io::FileInfo info;
  FixedString<64> tag;                // strong: size, time of change and identity
  std::int64_t modified_seconds = 0;  // since 1970-01-01 00:00 UTC
  std::string_view media_type;
  // Fields of a head: what a client needs to ask again, and what belongs to the content.
  FixedString<128> validator_lines;
  FixedString<192> content_lines;
  // Its content: a copy if it is small, else to be read from the file, or where the file itself has
  // it in memory.
  Block content;
  std::unique_ptr<io::File> file;

  [[nodiscard]] bool in_memory() const noexcept {
    return file == nullptr || !file->resident().empty();
  }
  [[nodiscard]] std::string_view text() const noexcept {
    if (file) return base::as_string_view(file->resident());
    return {content.data(), info.size};
  }
  // What it takes of the memory that a cache may use.
  [[nodiscard]] std::size_t bytes_held() const noexcept { return file ? 0 : info.size; }

  // For the cache.
  std::uint64_t checked_ns = 0;
  std::uint32_t users = 0;
  bool cached = false;
};

// A file that somebody uses: it stays as it is even when the cache drops it.
class FileReference {
 public:
  explicit FileReference(CachedFile& file) noexcept : file_{&file} { ++file_->users; }
  FileReference(FileReference&& other) noexcept : file_{std::exchange(other.file_, nullptr)} {}
  FileReference& operator=(FileReference&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~FileReference() {
    if (file_ && --file_->users == 0 && !file_->cached) delete file_;
  }
  CachedFile* operator->() const noexcept { return file_; }
  CachedFile& operator*() const noexcept { return *file_; }

 private:
  CachedFile* file_;
};

// Belongs to a core, and so do the tasks that use it. The folder MUST outlive it.
class FileCache {
 public:
  FileCache(io::Folder& folder, const FileCacheOptions& options) noexcept
      : folder_{folder}, options_{options} {}
  FileCache(const FileCache&) = delete;
  FileCache& operator=(const FileCache&) = delete;
  ~FileCache();

  // The file of this path. Error::is_a_folder for a folder, else as io::Folder::open().
  Task<Result<FileReference>> find(std::string_view path);

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept;
  };
  using Files = std::unordered_map<std::string, CachedFile*, Hash, std::equal_to<>>;

  Task<Result<FileReference>> open(std::string_view path);
  void keep(std::string_view path, CachedFile& file);
  void drop(Files::iterator place) noexcept;
  // Makes room for so many bytes; false when that cannot be.
  bool make_room(std::size_t bytes) noexcept;

  io::Folder& folder_;
  const FileCacheOptions options_;
  Files files_;
  std::size_t bytes_ = 0;
};

}  // namespace lichen::net::http
