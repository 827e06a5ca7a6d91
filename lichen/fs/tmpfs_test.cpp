#include "lichen/fs/tmpfs.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include "lichen/base/random.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/fs/fs_test.hpp"

namespace lichen::fs {
namespace {

using test::FileType;
using test::OpenMode;

class TmpfsTest : public test::FsTest {
 protected:
  Tmpfs tmpfs_{machine_, {.bytes = 1 << 20}};
  Vfs tree_{tmpfs_.root()};
  std::unique_ptr<VfsFolder> root_ = *tree_.open_root();
};

TEST_F(TmpfsTest, TellsSizesAndTimes) {
  const std::int64_t before = machine_.wall_clock_ns();
  write(*root_, "a", "text");
  const io::FileInfo file = must(root_->info("a"));
  EXPECT_EQ(file.type, FileType::file);
  EXPECT_EQ(file.size, 4U);
  EXPECT_GT(file.modified_ns, before);
  const io::FileInfo folder = must(root_->info("."));
  EXPECT_EQ(folder.type, FileType::folder);
  EXPECT_NE(folder.inode, file.inode);

  auto open = must(root_->open("a", OpenMode::write));
  must(open->write_at(0, {}));
  EXPECT_EQ(must(open->info()).modified_ns, file.modified_ns);
  must(open->write_at(10, base::as_bytes("x")));
  EXPECT_EQ(must(open->info()).size, 11U);
  EXPECT_GT(must(open->info()).modified_ns, file.modified_ns);
  const std::int64_t written = must(open->info()).modified_ns;
  must(open->truncate(2));
  EXPECT_GT(must(root_->info("a")).modified_ns, written);
  EXPECT_EQ(must(root_->info("a")).size, 2U);
  EXPECT_EQ(must(root_->info("a")).inode, file.inode);
  // A folder changes with its entries.
  EXPECT_EQ(must(root_->info(".")).modified_ns, folder.modified_ns);
  must(root_->rename("a", "b"));
  EXPECT_GT(must(root_->info(".")).modified_ns, folder.modified_ns);
  EXPECT_EQ(must(root_->info("b")).inode, file.inode);
  must(root_->make_link("link", "some target"));
  EXPECT_EQ(error_of(root_->info("link")), Error::not_found);
}

TEST_F(TmpfsTest, AFileLivesUntilItIsClosed) {
  const std::size_t empty = tmpfs_.budget().used();
  write(*root_, "a", "text");
  auto file = must(root_->open("a", OpenMode::write));
  must(root_->remove("a"));
  EXPECT_EQ(read(*root_, "a"), "not_found");
  EXPECT_EQ(must(read_all(*file)), "text");
  must(file->write_at(4, base::as_bytes(" and more")));
  EXPECT_EQ(must(read_all(*file)), "text and more");
  write(*root_, "a", "another");
  EXPECT_EQ(must(read_all(*file)), "text and more");
  EXPECT_GT(tmpfs_.budget().used(), 2 * Contents::block_cost);
  file.reset();
  must(root_->remove("a"));
  EXPECT_EQ(tmpfs_.budget().used(), empty);
}

TEST_F(TmpfsTest, AFolderThatIsGoneTakesNothing) {
  must(root_->make_folder("sub"));
  const auto sub = must(root_->open_folder("sub"));
  write(*root_, "a", "A");
  EXPECT_EQ(error_of(root_->remove("none")), Error::not_found);
  write(*sub, "b", "B");
  EXPECT_EQ(error_of(root_->remove("sub")), Error::not_empty);
  must(sub->remove("b"));
  must(root_->remove("sub"));
  EXPECT_EQ(error_of(sub->open("b", OpenMode::create)), Error::not_found);
  EXPECT_EQ(error_of(sub->make_folder("b")), Error::not_found);
  EXPECT_EQ(names(*sub), "");
  EXPECT_EQ(must(sub->info(".")).type, FileType::folder);
  must(root_->make_folder("sub"));
  EXPECT_EQ(read(*sub, "../a"), "path_escapes");
}

TEST_F(TmpfsTest, RenamesAndReplaces) {
  must(root_->make_folder("sub"));
  must(root_->make_folder("sub/deep"));
  must(root_->make_folder("empty"));
  write(*root_, "a", "A");
  write(*root_, "b", "B");
  auto old = must(root_->open("b", OpenMode::read));
  must(root_->rename("a", "b"));
  EXPECT_EQ(read(*root_, "b"), "A");
  EXPECT_EQ(must(read_all(*old)), "B");
  old.reset();
  must(root_->rename("b", "b"));
  must(root_->rename("b", "sub/deep/b"));
  EXPECT_EQ(read(*root_, "sub/deep/b"), "A");

  EXPECT_EQ(error_of(root_->rename("none", "x")), Error::not_found);
  EXPECT_EQ(error_of(root_->rename("sub", "sub/deep/inner")), Error::invalid_argument);
  EXPECT_EQ(error_of(root_->rename("sub", "sub/inner")), Error::invalid_argument);
  EXPECT_EQ(error_of(root_->rename("sub/deep", "sub")), Error::not_empty);
  EXPECT_EQ(error_of(root_->rename("sub/deep/b", "sub")), Error::not_empty);
  EXPECT_EQ(error_of(root_->rename("sub/deep/b", "empty")), Error::is_a_folder);
  EXPECT_EQ(error_of(root_->rename("empty", "sub/deep/b")), Error::not_a_folder);
  EXPECT_EQ(error_of(root_->rename("empty", "sub")), Error::not_empty);
  must(root_->rename("sub/deep/", "empty"));
  EXPECT_EQ(read(*root_, "empty/b"), "A");
  EXPECT_EQ(names(*root_), "empty/ sub/");
  EXPECT_EQ(names(*must(root_->open_folder("sub"))), "");
  // What was deep lies elsewhere now, and so may take what it lay in.
  must(root_->rename("sub", "empty/sub"));
  EXPECT_EQ(error_of(root_->rename("empty", "empty/sub/x")), Error::invalid_argument);
}

TEST_F(TmpfsTest, IsFullAtItsLimit) {
  Tmpfs small{machine_, {.bytes = 8 * Contents::block_cost}};
  Vfs tree{small.root()};
  const auto root = *tree.open_root();
  write(*root, "kept", "kept");
  const std::string block(Contents::block_size, 'x');
  auto file = must(root->open("a", OpenMode::create));
  std::uint64_t blocks = 0;
  for (;; ++blocks) {
    const auto outcome = run(file->write_at(blocks * block.size(), base::as_bytes(block)));
    if (outcome) continue;
    EXPECT_EQ(outcome.error(), Error::no_space);
    break;
  }
  EXPECT_EQ(blocks, 6U);
  EXPECT_EQ(must(file->info()).size, blocks * block.size());
  // A long write that does not fit leaves nothing of itself, nor harms what it would replace.
  const std::string much(3 << 20, 'y');
  const std::size_t used = small.budget().used();
  EXPECT_EQ(error_of(file->write_at(0, base::as_bytes(much))), Error::no_space);
  EXPECT_EQ(must(read_all(*file)), std::string(blocks * block.size(), 'x'));
  EXPECT_EQ(small.budget().used(), used);

  Error last{};
  std::string name = "n";
  while (last == Error{}) last = error_of(root->make_folder(name += 'n'));
  EXPECT_EQ(last, Error::no_space);
  last = {};
  while (last == Error{}) last = error_of(root->make_link(name += 'n', "t"));
  EXPECT_EQ(last, Error::no_space);
  EXPECT_EQ(read(*root, "kept"), "kept");
  // What takes no room goes on.
  must(file->write_at(5, base::as_bytes("over")));
  must(root->rename("kept", "same"));
  must(root->rename("same", "s"));
  must(root->rename("s", "a"));
  EXPECT_EQ(read(*root, "a"), "kept");
  file.reset();
  EXPECT_LT(small.budget().used(), 3 * Contents::block_cost);
}

TEST_F(TmpfsTest, TellsEachNameOnceWhileItChanges) {
  Tmpfs tmpfs{machine_};
  Vfs tree{tmpfs.root()};
  const auto root = *tree.open_root();
  constexpr int count = 5'000;
  for (int i = 0; i < count; ++i) must(root->make_folder("f" + std::to_string(i)));
  // Of the even ones nothing changes; the others come and go under the list's eyes.
  const auto change = [](VfsFolder& folder, const bool& done) -> Task<Result<void>> {
    for (int i = 1;; i = (i + 2) % count | 1) {
      if (done) break;
      const std::string path = "f" + std::to_string(i);
      (co_await folder.remove(path)).ignore();
      if (i % 3 == 0) (co_await folder.rename("f" + std::to_string((i * 7) | 1), path)).ignore();
      if (i % 5 == 0) CO_TRY(co_await folder.open("g" + path, OpenMode::create));
      if (i % 100 == 1) co_await yield();
    }
    co_return Result<void>{};
  };
  bool done = false;
  const auto list = [](VfsFolder& folder, bool& over) -> Task<Result<std::vector<std::string>>> {
    std::vector<std::string> all;
    for (io::FolderEntry& entry : CO_TRY(co_await folder.list())) all.push_back(entry.name);
    over = true;
    co_return all;
  };
  const auto both = [&]() -> Task<Result<std::vector<std::string>>> {
    Scope scope;
    scope.spawn(change(*root, done));
    auto all = co_await list(*root, done);
    CO_TRY(co_await scope.join());
    co_return all;
  };
  const std::vector<std::string> all = must(both());
  EXPECT_TRUE(std::ranges::is_sorted(all));
  EXPECT_TRUE(std::ranges::adjacent_find(all) == all.end());
  for (int i = 0; i < count; i += 2)
    EXPECT_TRUE(std::ranges::binary_search(all, "f" + std::to_string(i))) << i;
}

// Folders in folders, deeper than any stack.
TEST_F(TmpfsTest, EndsHoweverDeepItIs) {
  Tmpfs tmpfs{machine_};
  Vfs tree{tmpfs.root()};
  std::unique_ptr<io::Folder> folder = *tree.open_root();
  for (int i = 0; i < 100'000; ++i) {
    must(folder->make_folder("d"));
    if (i % 10 == 0) write(*folder, "e", "");
    folder = must(folder->open_folder("d"));
  }
}

// Several tasks write, read, rename and list the same few names; what each file holds is written in
// one go, so it is whole whenever it is read.
TEST_F(TmpfsTest, ManyTasksAtOnce) {
  constexpr std::size_t size = (2 << 20) + 777;  // more than is done at a time
  Tmpfs tmpfs{machine_, {.bytes = 64 << 20}};
  Vfs tree{tmpfs.root()};
  const auto root = *tree.open_root();
  must(root->make_folder("0"));
  must(root->make_folder("1"));
  const auto path = [](base::Random& random) {
    return std::to_string(random.below(2)) + "/" + std::to_string(random.below(4));
  };
  const auto work = [&path](VfsFolder& folder, std::uint64_t seed) -> Task<Result<void>> {
    base::Random random{seed};
    for (int step = 0; step < 40; ++step) {
      switch (random.below(5)) {
        case 0: {
          auto file = co_await folder.open(path(random), OpenMode::create);
          if (!file) break;
          const std::string text(size, static_cast<char>('a' + random.below(26)));
          CO_TRY(co_await (*file)->write_at(0, base::as_bytes(text)));
          break;
        }
        case 1: {
          auto file = co_await folder.open(path(random), OpenMode::read);
          if (!file) break;
          std::string text(size, '?');
          const std::size_t read =
              CO_TRY(co_await (*file)->read_at(0, std::as_writable_bytes(std::span{text})));
          EXPECT_TRUE(read == 0 || read == size) << read;
          EXPECT_EQ(text.substr(0, read), std::string(read, text[0]));
          break;
        }
        case 2: (co_await folder.rename(path(random), path(random))).ignore(); break;
        case 3: (co_await folder.remove(path(random))).ignore(); break;
        default: {
          auto inner = CO_TRY(co_await folder.open_folder(random.below(2) == 0 ? "0" : "1"));
          EXPECT_LE(CO_TRY(co_await inner->list()).size(), 4U);
        }
      }
      co_await yield();
    }
    co_return Result<void>{};
  };
  const auto all = [&]() -> Task<Result<void>> {
    Scope scope;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) scope.spawn(work(*root, seed));
    co_return co_await scope.join();
  };
  must(all());
}

// What a file system is, in the plainest way: what is behind each path, and what is inside.
struct Model {
  struct Thing {
    FileType type = FileType::folder;
    std::string content;  // or target
    std::map<std::string, std::shared_ptr<Thing>> entries;
  };
  std::shared_ptr<Thing> root = std::make_shared<Thing>();

  using Path = std::vector<std::string>;
  Result<std::shared_ptr<Thing>> folder_of(const Path& path) const {
    std::shared_ptr<Thing> at = root;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
      const auto found = at->entries.find(path[i]);
      if (found == at->entries.end()) return Error::not_found;
      if (found->second->type != FileType::folder) return Error::not_a_folder;
      at = found->second;
    }
    return at;
  }
  static bool is_inside(const Thing& inner, const Thing& outer) {
    if (&inner == &outer) return true;
    for (const auto& [name, thing] : outer.entries)
      if (is_inside(inner, *thing)) return true;
    return false;
  }
  Result<std::shared_ptr<Thing>> open(const Path& path, OpenMode mode) const {
    auto folder = TRY(folder_of(path));
    const auto found = folder->entries.find(path.back());
    if (found == folder->entries.end()) {
      if (mode == OpenMode::read || mode == OpenMode::write) return Error::not_found;
      return folder->entries[path.back()] = std::make_shared<Thing>(Thing{FileType::file, {}, {}});
    }
    if (mode == OpenMode::create_new) return Error::already_exists;
    if (found->second->type == FileType::folder) return Error::is_a_folder;
    if (mode == OpenMode::replace) found->second->content.clear();
    return found->second;
  }
  Result<void> make_folder(const Path& path) const {
    auto folder = TRY(folder_of(path));
    if (folder->entries.contains(path.back())) return Error::already_exists;
    folder->entries[path.back()] = std::make_shared<Thing>();
    return {};
  }
  Result<void> remove(const Path& path) const {
    auto folder = TRY(folder_of(path));
    const auto found = folder->entries.find(path.back());
    if (found == folder->entries.end()) return Error::not_found;
    if (!found->second->entries.empty()) return Error::not_empty;
    folder->entries.erase(found);
    return {};
  }
  Result<void> rename(const Path& from, const Path& to) const {
    auto source = TRY(folder_of(from));
    auto target = TRY(folder_of(to));
    const auto moved = source->entries.find(from.back());
    if (moved == source->entries.end()) return Error::not_found;
    const std::shared_ptr<Thing> thing = moved->second;
    if (is_inside(*target, *thing)) return Error::invalid_argument;
    const auto replaced = target->entries.find(to.back());
    if (replaced != target->entries.end()) {
      if (replaced->second == thing) return {};
      if (is_inside(*source, *replaced->second)) return Error::not_empty;
      const bool onto_folder = replaced->second->type == FileType::folder;
      if (onto_folder && thing->type != FileType::folder) return Error::is_a_folder;
      if (!onto_folder && thing->type == FileType::folder) return Error::not_a_folder;
      if (!replaced->second->entries.empty()) return Error::not_empty;
    }
    source->entries.erase(moved);
    target->entries[to.back()] = thing;
    return {};
  }
};

class TmpfsModel : public test::FsTest {
 protected:
  static std::string text_of(const Model::Path& path) {
    std::string text;
    for (const std::string& name : path) text += (text.empty() ? "" : "/") + name;
    return text;
  }
  static Model::Path random_path(base::Random& random) {
    Model::Path path;
    do path.emplace_back(1, static_cast<char>('a' + random.below(3)));
    while (path.size() < 4 && random.below(2) == 0);
    return path;
  }
  void compare(io::Folder& folder, const Model::Thing& thing) {
    std::string expected;
    for (const auto& [name, inner] : thing.entries)
      expected +=
          (expected.empty() ? "" : " ") + name + (inner->type == FileType::folder ? "/" : "");
    ASSERT_EQ(names(folder), expected);
    for (const auto& [name, inner] : thing.entries) {
      if (inner->type == FileType::folder)
        compare(*must(folder.open_folder(name)), *inner);
      else
        ASSERT_EQ(read(folder, name), inner->content);
    }
  }
  void run_seed(std::uint64_t seed);
};

void TmpfsModel::run_seed(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  base::Random random{seed};
  Tmpfs tmpfs{machine_, {.bytes = 1 << 20}};
  {
    Vfs tree{tmpfs.root()};
    const auto root = *tree.open_root();
    Model model;
    // Some files stay open while all this happens.
    std::vector<std::pair<std::unique_ptr<io::File>, std::shared_ptr<Model::Thing>>> open;
    for (int step = 0; step < 300 && !HasFatalFailure(); ++step) {
      const Model::Path path = random_path(random);
      const std::string text = text_of(path);
      switch (random.below(7)) {
        case 0:
          ASSERT_EQ(error_of(root->make_folder(text)), model.make_folder(path).error());
          break;
        case 1: ASSERT_EQ(error_of(root->remove(text)), model.remove(path).error()); break;
        case 2: {
          const Model::Path to = random_path(random);
          ASSERT_EQ(error_of(root->rename(text, text_of(to))), model.rename(path, to).error())
              << text << " to " << text_of(to);
          break;
        }
        case 3:
        case 4: {
          const auto mode = static_cast<OpenMode>(random.below(5));
          auto ours = run(root->open(text, mode));
          auto theirs = model.open(path, mode);
          ASSERT_EQ(ours.error(), theirs.error()) << text << " mode " << static_cast<int>(mode);
          if (ours && mode != OpenMode::read) open.emplace_back(*std::move(ours), *theirs);
          if (open.size() > 5) open.erase(open.begin() + static_cast<long>(random.below(5)));
          break;
        }
        case 5: {
          if (open.empty()) break;
          auto& [file, thing] = open[random.below(open.size())];
          const std::string some(random.below(3'000), static_cast<char>('0' + random.below(10)));
          const std::size_t offset = random.below(9'000);
          must(file->write_at(offset, base::as_bytes(some)));
          if (some.empty()) break;
          if (thing->content.size() < offset + some.size())
            thing->content.resize(offset + some.size());
          thing->content.replace(offset, some.size(), some);
          break;
        }
        default: {
          if (open.empty()) break;
          auto& [file, thing] = open[random.below(open.size())];
          const std::size_t size = random.below(9'000);
          must(file->truncate(size));
          thing->content.resize(size);
        }
      }
      if (!open.empty() && step % 10 == 0)
        ASSERT_EQ(must(read_all(*open.back().first)), open.back().second->content);
    }
    compare(*root, *model.root);
  }
}

TEST_F(TmpfsModel, DoesAsThePlainOne) {
  for (std::uint64_t seed = 1; seed <= 300 && !HasFatalFailure(); ++seed) run_seed(seed);
}

}  // namespace
}  // namespace lichen::fs
