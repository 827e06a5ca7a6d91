// Initfs: the files of an image, read-only, where they are. The image is a cpio archive (cpio.hpp),
// which lichen_pack_files() in CMake makes of a folder (packed_files.hpp).
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/fs/node.hpp"
#include "lichen/fs/pooled.hpp"

namespace lichen::fs {

namespace detail {
class InitNode;
}  // namespace detail

// Files are read without a copy (io::File::resident). Any core may use it; nothing is locked. MUST
// outlive the trees it is mounted in, and the image MUST outlive it.
class Initfs final : public Pooled {
 public:
  // Makes an index of the whole archive, or fails: protocol_error, end_of_stream (see CpioReader);
  // path_escapes for a name that is absolute or has a "..", too_large for one that no path can
  // have, already_exists for a name that comes twice, not_found or not_a_folder where a name's
  // folder is missing or is none, not_supported for a file whose content is with another hard
  // link's, no_memory. Folders may come after what is in them.
  static Result<std::unique_ptr<Initfs>> create(std::span<const std::byte> image) noexcept;

  Initfs(const Initfs&) = delete;
  Initfs& operator=(const Initfs&) = delete;
  ~Initfs();

  [[nodiscard]] NodeRef root() noexcept;
  // Files, folders and links, the root among them.
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  Initfs() noexcept = default;

  // By path, the root first; and the children of each folder by name, one folder after the other.
  detail::InitNode* nodes_ = nullptr;
  detail::InitNode** children_ = nullptr;
  std::size_t capacity_ = 0;  // of both
  std::size_t count_ = 0;     // of nodes
};

}  // namespace lichen::fs
