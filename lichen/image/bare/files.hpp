// The files that an image has inside, and a folder in memory among them. In an image only where its
// build names files (lichen_app in cmake/lichen.cmake): so nothing else here depends on them.
#pragma once

#include <memory>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/system.hpp"

namespace lichen::image {

// What was packed appears at the root, read-only; what is written to its folder "tmp" is kept in
// memory until the machine ends, a quarter of the memory at most.
class Files {
 public:
  virtual ~Files() = default;
  // A path that begins with '/' begins at the root, and so does any other.
  virtual Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view path) = 0;
};

// Its address is null in an image without files. Errors: as fs::Initfs::create().
[[gnu::weak]] Task<Result<std::unique_ptr<Files>>> open_files(const io::System& system);

}  // namespace lichen::image
