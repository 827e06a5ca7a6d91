// The same calls on a folder of the host and on the same folder in memory: what one answers, the
// other does.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/base/span.hpp"
#include "lichen/fs/tmpfs.hpp"
#include "lichen/fs/vfs.hpp"
#include "lichen/image/run.hpp"

namespace lichen::fs {
namespace {

using io::OpenMode;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lichen_fs_XXXXXX").string();
    if (!mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Everything that a call told, as text.
std::string told(const Result<void>& result) {
  return result ? "ok" : std::string{name(result.error())};
}

Task<Result<std::string>> open_and_use(io::Folder& folder, std::string_view path, OpenMode mode,
                                       std::uint64_t number) {
  auto file = co_await folder.open(path, mode);
  if (!file) co_return "open: " + std::string{name(file.error())};
  std::string all = "opened";
  const std::string text(number % 50, static_cast<char>('a' + number % 26));
  const auto written = co_await (*file)->write_at(number % 70, base::as_bytes(text));
  if (mode != OpenMode::read) all += ", write: " + told(written);
  if (number % 3 == 0 && mode != OpenMode::read)
    all += ", truncate: " + told(co_await (*file)->truncate(number % 90));
  std::string content(200, '?');
  const auto size =
      co_await (*file)->read_at(number % 40, std::as_writable_bytes(std::span{content}));
  content.resize(size.has_value() ? *size : 0);
  const auto info = CO_TRY(co_await (*file)->info());
  co_return all + ", read: " + content + ", size " + std::to_string(info.size);
}

Task<Result<std::string>> list(io::Folder& folder, std::string_view path) {
  auto inner = co_await folder.open_folder(path);
  if (!inner) co_return "open: " + std::string{name(inner.error())};
  std::set<std::string> names;
  for (const io::FolderEntry& entry : CO_TRY(co_await (*inner)->list()))
    names.insert(entry.name + ":" + std::to_string(static_cast<int>(entry.type)));
  std::string all;
  for (const std::string& entry : names) all += entry + " ";
  co_return all;
}

Task<Result<std::string>> info(io::Folder& folder, std::string_view path) {
  const auto found = co_await folder.info(path);
  if (!found) co_return std::string{name(found.error())};
  co_return std::to_string(static_cast<int>(found->type)) +
      (found->type == io::FileType::file ? " of " + std::to_string(found->size) : "");
}

std::string random_path(base::Random& random) {
  static constexpr std::string_view parts[] = {"a", "b",  "c",  "d", "a", "b", "c",
                                               ".", "..", "..", "",  "l", "m", "none"};
  std::string path;
  do {
    if (!path.empty()) path += '/';
    path += parts[random.below(std::size(parts))];
  } while (random.below(3) != 0 && path.size() < 30);
  if (random.below(12) == 0) path += '/';
  return path;
}

Task<Result<std::string>> act(io::Folder& folder, base::Random& random) {
  const std::string path = random_path(random);
  const std::uint64_t number = random();
  switch (random.below(8)) {
    case 0: co_return "make_folder " + path + ": " + told(co_await folder.make_folder(path));
    case 1: co_return "remove " + path + ": " + told(co_await folder.remove(path));
    case 2: {
      const std::string to = random_path(random);
      co_return "rename " + path + " " + to + ": " + told(co_await folder.rename(path, to));
    }
    case 3: co_return "list " + path + ": " + CO_TRY(co_await list(folder, path));
    case 4: co_return "info " + path + ": " + CO_TRY(co_await info(folder, path));
    default: {
      const auto mode = static_cast<OpenMode>(random.below(5));
      co_return "open " + path + " " + std::to_string(static_cast<int>(mode)) + ": " +
          CO_TRY(co_await open_and_use(folder, path, mode, number));
    }
  }
}

Task<Result<void>> compare(io::System& system, std::uint64_t seed) {
  const TemporaryFolder temporary;
  auto outside = CO_TRY(co_await system.open_folder(temporary.path().string()));
  Tmpfs tmpfs{system};
  Vfs tree{tmpfs.root()};
  const auto root = CO_TRY(tree.open_root());

  base::Random random{seed};
  static constexpr std::string_view targets[] = {"a",  "../a", "b/",     "l",    "m/c",    ".",
                                                 "..", "/a",   "a/../b", "none", "../in/a"};
  CO_TRY(co_await outside->make_folder("in"));
  CO_TRY(co_await root->make_folder("in"));
  for (const char* folder : {"in/a", "in/a/b"}) {
    CO_TRY(co_await outside->make_folder(folder));
    CO_TRY(co_await root->make_folder(folder));
  }
  for (const char* link : {"in/l", "in/m", "in/a/l", "in/a/b/m"}) {
    const std::string target{targets[random.below(std::size(targets))]};
    std::filesystem::create_symlink(target, temporary.path() / link);
    CO_TRY(co_await root->make_link(link, target));
  }
  auto theirs = CO_TRY(co_await outside->open_folder("in"));
  auto ours = CO_TRY(co_await root->open_folder("in"));
  for (int step = 0; step < 200; ++step) {
    base::Random same{random()};
    base::Random again = same;
    const std::string expected = CO_TRY(co_await act(*theirs, same));
    const std::string actual = CO_TRY(co_await act(*ours, again));
    EXPECT_EQ(actual, expected) << "seed " << seed << ", step " << step;
    if (actual != expected) co_return Error::internal;
  }
  co_return Result<void>{};
}

TEST(Tmpfs, AnswersAsTheHostDoes) {
  const auto outcome = run([](io::System& system) -> Task<Result<void>> {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) CO_TRY(co_await compare(system, seed));
    co_return Result<void>{};
  });
  EXPECT_TRUE(outcome) << name(outcome.error());
}

}  // namespace
}  // namespace lichen::fs
