// The files that a program has inside, as an archive for Initfs. There where its build says
//
//   lichen_pack_files(program folder)
//
// (cmake/LichenPackFiles.cmake); anywhere else a use of it does not link.
#pragma once

#include <cstddef>
#include <span>

namespace lichen::fs {

namespace detail {
extern "C" [[gnu::visibility("hidden")]] const std::byte lichen_files_begin[];
extern "C" [[gnu::visibility("hidden")]] const std::byte lichen_files_end[];
}  // namespace detail

[[nodiscard]] inline std::span<const std::byte> packed_files() noexcept {
  return {detail::lichen_files_begin, detail::lichen_files_end};
}

}  // namespace lichen::fs
