// FileService: answers GET and HEAD with the files of a folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/file.hpp"
#include "lichen/net/http/conditional.hpp"
#include "lichen/net/http/file_cache.hpp"
#include "lichen/net/http/range.hpp"
#include "lichen/net/http/server.hpp"

namespace lichen::net::http {

struct FileServiceOptions {
  bool list_folders = false;  // a folder without an index file is answered with a list
  bool show_hidden = false;   // files whose name, or that of a folder above, begins with '.'
  std::string_view index = "index.html";  // of a folder; none if empty
  FileCacheOptions cache{};
};

// Media types by the name's ending, entity tags from inode, size and time of modification,
// conditional requests, ranges (several as multipart/byteranges). What cannot be named below the
// folder, or is hidden, is not found. A file that becomes shorter while it is sent cuts the
// connection: what was announced cannot be sent any more, and less must not look like all of it.
//
// Small files rest in memory (FileCache), so a change is seen up to a second late. The service
// belongs to a core, like the server that calls it; the folder and what the options name MUST
// outlive it.
class FileService final : public Handler {
 public:
  explicit FileService(io::Folder& folder, FileServiceOptions options = {}) noexcept
      : folder_{folder}, options_{options}, cache_{folder, options.cache} {}

  Task<Result<void>> handle(Request& request, Response& response) override;

 private:
  Task<Result<void>> send_folder(Response& response, std::string_view path);
  static Task<Result<void>> send_file(Request& request, Response& response, CachedFile& file);
  static Task<Result<void>> send_parts(Response& response, CachedFile& file,
                                       std::span<const ByteRange> ranges);
  static Task<Result<void>> send_bytes(Response& response, CachedFile& file, ByteRange range);
  static Task<Result<void>> redirect_to_folder(Request& request, Response& response);

  io::Folder& folder_;
  const FileServiceOptions options_;
  FileCache cache_;
};

}  // namespace lichen::net::http
