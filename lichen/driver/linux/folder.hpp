// HostFolder: a folder of the host, as a capability. openat2(2) with RESOLVE_BENEATH keeps every
// path inside; where the kernel lacks it, a path is walked by its components and may hold neither
// ".." nor a symbolic link.
#pragma once

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/driver/linux/helpers.hpp"
#include "lichen/driver/linux/path.hpp"
#include "lichen/driver/linux/uring_cores.hpp"
#include "lichen/io/file.hpp"

namespace lichen::driver {

// Belongs to no core, as HostFile.
class HostFolder final : public io::Folder {
 public:
  HostFolder(UringCores& cores, HelperThreads& helpers, Descriptor fd) noexcept
      : cores_{cores}, helpers_{helpers}, fd_{std::move(fd)} {}

  // Any folder the process may see; an absolute path or one from its current folder.
  static Task<Result<std::unique_ptr<io::Folder>>> open_unbound(UringCores& cores,
                                                                HelperThreads& helpers,
                                                                std::string_view path);

  Task<Result<std::unique_ptr<io::File>>> open(std::string_view path, io::OpenMode mode) override;
  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view path) override;
  Task<Result<io::FileInfo>> info(std::string_view path) override;
  Task<Result<std::vector<io::FolderEntry>>> list() override;
  Task<Result<void>> make_folder(std::string_view path) override;
  Task<Result<void>> remove(std::string_view path) override;
  Task<Result<void>> rename(std::string_view from, std::string_view to) override;

 private:
  // A path's last component and the open folder it lies in.
  struct Place {
    Descriptor folder;  // none when it lies in this folder itself
    PathText name;
  };

  Task<Result<Descriptor>> open_beneath(std::string_view path, int flags);
  Task<Result<Place>> find_place(std::string_view path);
  [[nodiscard]] int descriptor_of(const Place& place) const noexcept {
    return place.folder.get() >= 0 ? place.folder.get() : fd_.get();
  }

  UringCores& cores_;
  HelperThreads& helpers_;
  Descriptor fd_;
};

// open(2) of a path beneath a folder, one component at a time; blocks. Neither ".." nor links.
Result<int> walk_beneath(int folder, std::string_view path, int flags) noexcept;

}  // namespace lichen::driver
