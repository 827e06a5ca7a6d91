#include "lichen/image/bare/files.hpp"

#include <new>
#include <utility>

#include "lichen/fs/initfs.hpp"
#include "lichen/fs/packed_files.hpp"
#include "lichen/fs/tmpfs.hpp"
#include "lichen/fs/vfs.hpp"
#include "lichen/hal/hal.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::image {

namespace {

class PackedFiles final : public Files {
 public:
  PackedFiles(const io::System& system, std::unique_ptr<fs::Initfs> packed) noexcept
      : packed_{std::move(packed)},
        memory_{system, {.bytes = hal::page_region().size() / 4}},
        tree_{packed_->root(), fs::Rights::read_only} {}

  Task<Result<void>> mount() { co_return co_await tree_.mount("tmp", memory_.root()); }

  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view path) override {
    auto root = CO_TRY(tree_.open_root());
    while (path.starts_with('/')) path.remove_prefix(1);
    if (path.empty()) co_return root;
    co_return co_await root->open_folder(path);
  }

 private:
  const std::unique_ptr<fs::Initfs> packed_;
  fs::Tmpfs memory_;
  fs::Vfs tree_;
};

}  // namespace

Task<Result<std::unique_ptr<Files>>> open_files(const io::System& system) {
  auto packed = CO_TRY(fs::Initfs::create(fs::packed_files()));
  std::unique_ptr<PackedFiles> files{new (std::nothrow) PackedFiles{system, std::move(packed)}};
  if (!files) co_return Error::no_memory;
  CO_TRY(co_await files->mount());
  co_return files;
}

}  // namespace lichen::image

#pragma clang attribute pop
