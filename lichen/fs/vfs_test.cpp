#include "lichen/fs/vfs.hpp"

#include "lichen/fs/fs_test.hpp"
#include "lichen/fs/path.hpp"

namespace lichen::fs {
namespace {

using test::FileType;
using test::OpenMode;

class VfsTest : public test::FsTest {
 protected:
  VfsTest() {
    must(root_->make_folder("sub"));
    must(root_->make_folder("sub/deep"));
    write(*root_, "a", "A");
    write(*root_, "sub/b", "B");
    write(*root_, "sub/deep/c", "C");
  }
  Error open_error(std::string_view path, OpenMode mode = OpenMode::read) {
    return error_of(root_->open(path, mode));
  }

  Tmpfs tmpfs_{machine_};
  Vfs tree_{tmpfs_.root()};
  std::unique_ptr<VfsFolder> root_ = *tree_.open_root();
};

TEST_F(VfsTest, WalksPaths) {
  for (const std::string_view path : {"sub/deep/c", "sub//deep///c", "./sub/./deep/c",
                                      "sub/../sub/deep/../deep/c", "sub/deep/../../sub/deep/c"})
    EXPECT_EQ(read(*root_, path), "C") << path;
  EXPECT_EQ(must(root_->info("sub/")).type, FileType::folder);
  EXPECT_EQ(must(root_->info(".")).inode, must(root_->info("sub/..")).inode);
  EXPECT_EQ(open_error("sub/none"), Error::not_found);
  EXPECT_EQ(open_error("none/../a"), Error::not_found);
  EXPECT_EQ(open_error("a/"), Error::not_a_folder);
  EXPECT_EQ(open_error("a/."), Error::not_a_folder);
  EXPECT_EQ(open_error("a/../a"), Error::not_a_folder);
  EXPECT_EQ(open_error("a/x"), Error::not_a_folder);
  EXPECT_EQ(open_error("sub"), Error::is_a_folder);
  EXPECT_EQ(open_error("."), Error::is_a_folder);
  EXPECT_EQ(error_of(root_->open_folder("a")), Error::not_a_folder);
  EXPECT_EQ(open_error(""), Error::invalid_argument);
  EXPECT_EQ(open_error({"a\0b", 3}), Error::invalid_argument);
  EXPECT_EQ(open_error(std::string(5'000, 'x')), Error::too_large);
  EXPECT_EQ(open_error(std::string(256, 'x')), Error::too_large);
  EXPECT_EQ(open_error(std::string(255, 'x')), Error::not_found);
  std::string deep;
  while (deep.size() < longest_path - 8) deep += "sub/../";
  EXPECT_EQ(read(*root_, deep + "a"), "A");
}

TEST_F(VfsTest, LetsNoPathOut) {
  const auto sub = must(root_->open_folder("sub"));
  must(root_->make_link("sub/link", "../a"));
  must(root_->make_link("sub/up", ".."));
  must(root_->make_link("sub/absolute", "/a"));
  must(root_->make_link("sub/again", "deep/../up"));
  for (const std::string_view path :
       {"..", "../a", "/a", "//a", "deep/../../a", "../sub/b", "link", "up/a", "up", "absolute",
        "again/a", "deep/../link", "up/sub/b"}) {
    EXPECT_EQ(error_of(sub->open(path, OpenMode::read)), Error::path_escapes) << path;
    EXPECT_EQ(error_of(sub->open(path, OpenMode::create)), Error::path_escapes) << path;
    EXPECT_EQ(error_of(sub->open_folder(path)), Error::path_escapes) << path;
    EXPECT_EQ(error_of(sub->info(path)), Error::path_escapes) << path;
  }
  for (const std::string_view path : {"../new", "/new", "up/new", "..", "deep/.."}) {
    EXPECT_EQ(error_of(sub->make_folder(path)), Error::path_escapes) << path;
    EXPECT_EQ(error_of(sub->remove(path)), Error::path_escapes) << path;
    EXPECT_EQ(error_of(sub->rename("b", path)), Error::path_escapes) << path;
    EXPECT_EQ(error_of(sub->rename(path, "n")), Error::path_escapes) << path;
  }
  EXPECT_EQ(error_of(sub->make_folder(".")), Error::invalid_argument);
  EXPECT_EQ(error_of(sub->remove("./")), Error::invalid_argument);
  // From further up the same links stay inside.
  EXPECT_EQ(read(*root_, "sub/link"), "A");
  EXPECT_EQ(read(*root_, "sub/again/a"), "A");
  must(sub->remove("link"));
  EXPECT_EQ(read(*root_, "a"), "A");
}

// Where ".." leads is the way that was come, not where the folder lies by now.
TEST_F(VfsTest, AMovedFolderLetsNoPathOutEither) {
  const auto deep = must(root_->open_folder("sub/deep"));
  must(deep->make_folder("inner"));
  must(root_->rename("sub/deep/inner", "inner"));
  EXPECT_EQ(error_of(deep->open("../a", OpenMode::read)), Error::path_escapes);
  EXPECT_EQ(read(*deep, "inner/../c"), "not_found");
  must(root_->rename("sub/deep", "moved"));
  EXPECT_EQ(read(*deep, "c"), "C");
  EXPECT_EQ(read(*root_, "moved/c"), "C");
}

TEST_F(VfsTest, FollowsLinks) {
  must(root_->make_link("to_file", "sub/deep/../b"));
  must(root_->make_link("to_folder", "./sub//deep/"));
  must(root_->make_link("sub/deep/back", "../../to_folder"));
  must(root_->make_link("dangling", "sub/made"));
  must(root_->make_link("to_file_as_folder", "a/"));
  EXPECT_EQ(read(*root_, "to_file"), "B");
  EXPECT_EQ(read(*root_, "to_folder/c"), "C");
  EXPECT_EQ(read(*root_, "to_folder/back/back/c"), "C");
  EXPECT_EQ(read(*root_, "to_folder/../b"), "B");
  EXPECT_EQ(read(*root_, "to_file/"), "not_a_folder");
  EXPECT_EQ(read(*root_, "to_file/x"), "not_a_folder");
  EXPECT_EQ(read(*root_, "to_file_as_folder"), "not_a_folder");
  EXPECT_EQ(read(*root_, "dangling"), "not_found");
  EXPECT_EQ(open_error("dangling", OpenMode::create_new), Error::already_exists);
  EXPECT_EQ(open_error("dangling", OpenMode::write), Error::not_found);
  write(*root_, "dangling", "made");
  EXPECT_EQ(read(*root_, "sub/made"), "made");
  EXPECT_EQ(must(root_->read_link("to_file")), "sub/deep/../b");
  EXPECT_EQ(error_of(root_->read_link("a")), Error::wrong_type);
  EXPECT_EQ(must(root_->info("to_file")).type, FileType::file);
  EXPECT_EQ(error_of(root_->make_link("to_file", "x")), Error::already_exists);
  EXPECT_EQ(error_of(root_->make_link("x", "")), Error::invalid_argument);
  EXPECT_EQ(error_of(root_->make_link("x", std::string(4'096, 'x'))), Error::too_large);
  must(root_->remove("to_file"));
  EXPECT_EQ(read(*root_, "sub/b"), "B");
  EXPECT_EQ(names(*root_), "a dangling@ sub/ to_file_as_folder@ to_folder@");
}

TEST_F(VfsTest, TellsALoopOfLinks) {
  must(root_->make_link("x", "y"));
  must(root_->make_link("y", "x"));
  must(root_->make_link("self", "self/self"));
  for (const std::string_view path : {"x", "y/", "x/z", "self", "self/x"}) {
    EXPECT_EQ(open_error(path), Error::link_loop) << path;
    EXPECT_EQ(open_error(path, OpenMode::create),
              path.ends_with('/') ? Error::is_a_folder : Error::link_loop)
        << path;
  }
  // The limit is on the number of links in one walk.
  std::string before = "a";
  for (unsigned i = 0; i <= most_links; ++i) {
    const std::string link = "link" + std::to_string(i);
    EXPECT_EQ(read(*root_, before), "A");
    must(root_->make_link(link, before));
    before = link;
  }
  EXPECT_EQ(open_error(before), Error::link_loop);
  // Links inside of links: what is left of the path is kept for each.
  before = "sub";
  for (unsigned i = 0; i < most_links; ++i) {
    const std::string link = "folder" + std::to_string(i);
    must(root_->make_link(link, before + "/."));
    before = link;
  }
  EXPECT_EQ(read(*root_, before + "/b"), "B");
  must(root_->make_link("one_more", before));
  EXPECT_EQ(open_error("one_more/b"), Error::link_loop);
}

TEST_F(VfsTest, OpensInAllModes) {
  EXPECT_EQ(open_error("new", OpenMode::write), Error::not_found);
  EXPECT_EQ(open_error("sub", OpenMode::create), Error::is_a_folder);
  EXPECT_EQ(open_error("new/", OpenMode::create), Error::is_a_folder);
  EXPECT_EQ(open_error("a", OpenMode::create_new), Error::already_exists);
  EXPECT_EQ(open_error("a/b", OpenMode::create), Error::not_a_folder);
  EXPECT_EQ(open_error("none/b", OpenMode::create), Error::not_found);
  must(root_->open("new", OpenMode::create_new));
  EXPECT_EQ(read(*root_, "new"), "");
  const auto file = must(root_->open("a", OpenMode::create));
  must(file->write_at(1, base::as_bytes("bc")));
  EXPECT_EQ(read(*root_, "a"), "Abc");
  must(root_->open("a", OpenMode::write));
  EXPECT_EQ(read(*root_, "a"), "Abc");
  must(root_->open("a", OpenMode::replace));
  EXPECT_EQ(read(*root_, "a"), "");
  const auto reader = must(root_->open("a", OpenMode::read));
  EXPECT_EQ(error_of(reader->write_at(0, base::as_bytes("x"))), Error::bad_handle);
  EXPECT_EQ(error_of(reader->truncate(0)), Error::bad_handle);
  must(reader->sync());
}

TEST_F(VfsTest, MountsOneFileSystemInAnother) {
  Tmpfs other{machine_};
  {
    Vfs inner{other.root()};
    const auto folder = *inner.open_root();
    write(*folder, "x", "X");
    must(folder->make_folder("way"));
    must(folder->make_link("out", "../a"));
  }
  must(tree_.mount("sub/deep", other.root()));
  EXPECT_EQ(read(*root_, "sub/deep/x"), "X");
  EXPECT_EQ(read(*root_, "sub/deep/c"), "not_found");
  EXPECT_EQ(read(*root_, "sub/deep/way/../../b"), "B");
  EXPECT_EQ(names(*must(root_->open_folder("sub/deep"))), "out@ way/ x");
  // A link leads through the tree, not through its file system; and not out of a folder of that.
  EXPECT_EQ(read(*root_, "sub/deep/out"), "not_found");
  write(*root_, "sub/a", "in sub");
  EXPECT_EQ(read(*root_, "sub/deep/out"), "in sub");
  EXPECT_EQ(read(*must(root_->open_folder("sub/deep")), "out"), "path_escapes");

  // What is mounted on stays; nothing is moved from one to the other.
  EXPECT_EQ(error_of(root_->remove("sub/deep")), Error::busy);
  EXPECT_EQ(error_of(root_->rename("sub/deep", "elsewhere")), Error::busy);
  must(root_->make_folder("folder"));
  EXPECT_EQ(error_of(root_->rename("folder", "sub/deep")), Error::busy);
  EXPECT_EQ(error_of(root_->rename("a", "sub/deep/a")), Error::not_supported);
  EXPECT_EQ(error_of(tree_.mount("sub/deep", other.root())), Error::busy);
  EXPECT_EQ(error_of(tree_.mount(".", other.root())), Error::busy);
  EXPECT_EQ(error_of(tree_.mount("a", other.root())), Error::not_a_folder);
  EXPECT_EQ(error_of(tree_.mount("none", other.root())), Error::not_found);
  EXPECT_EQ(error_of(tree_.mount("../x", other.root())), Error::path_escapes);
  // Folders above it may move.
  must(root_->rename("sub", "moved"));
  EXPECT_EQ(read(*root_, "moved/deep/x"), "X");
  must(root_->rename("moved", "sub"));

  // The same file system in two places; mounts in mounts.
  must(tree_.mount("folder", other.root()));
  EXPECT_EQ(read(*root_, "folder/x"), "X");
  Tmpfs third{machine_};
  must(tree_.mount("folder/way", third.root()));
  write(*root_, "folder/way/y", "Y");
  EXPECT_EQ(read(*root_, "sub/deep/way/y"), "not_found");
  EXPECT_EQ(error_of(tree_.unmount("folder")), Error::busy);
  must(tree_.unmount("folder/way"));
  must(tree_.unmount("folder"));
  EXPECT_EQ(error_of(tree_.unmount("folder")), Error::invalid_argument);
  EXPECT_EQ(error_of(tree_.unmount(".")), Error::invalid_argument);
  EXPECT_EQ(error_of(tree_.unmount("a")), Error::invalid_argument);
  EXPECT_EQ(error_of(tree_.unmount("none")), Error::not_found);
  must(tree_.mount("folder", third.root()));
  EXPECT_EQ(read(*root_, "folder/y"), "Y");
  must(tree_.unmount("./folder/"));
  must(root_->remove("folder"));
  must(tree_.unmount("sub/deep"));
  EXPECT_EQ(read(*root_, "sub/deep/c"), "C");
}

TEST_F(VfsTest, IsNotUnmountedWhileItIsUsed) {
  Tmpfs other{machine_};
  must(tree_.mount("sub/deep", other.root()));
  write(*root_, "sub/deep/x", "X");
  auto file = must(root_->open("sub/deep/x", OpenMode::read));
  EXPECT_EQ(error_of(tree_.unmount("sub/deep")), Error::busy);
  must(root_->remove("sub/deep/x"));
  EXPECT_EQ(error_of(tree_.unmount("sub/deep")), Error::busy);
  EXPECT_EQ(must(read_all(*file)), "X");
  file.reset();
  auto folder = must(root_->open_folder("sub/deep"));
  EXPECT_EQ(error_of(tree_.unmount("sub/deep")), Error::busy);
  folder.reset();
  must(tree_.unmount("sub/deep"));
  // A folder that was removed takes no mount.
  folder = must(root_->open_folder("sub"));
  must(folder->make_folder("gone"));
  must(folder->remove("gone"));
  EXPECT_EQ(error_of(tree_.mount("sub/gone", other.root())), Error::not_found);
  // What is left mounted goes with the tree.
  Vfs tree{tmpfs_.root()};
  must(tree.mount("sub/deep", other.root()));
}

TEST_F(VfsTest, AReadOnlyMountIsNotChanged) {
  Tmpfs other{machine_};
  Vfs tree{tmpfs_.root(), Rights::read_only};
  const auto root = *tree.open_root();
  EXPECT_EQ(read(*root, "sub/b"), "B");
  for (const OpenMode mode : {OpenMode::write, OpenMode::create, OpenMode::replace})
    EXPECT_EQ(error_of(root->open("a", mode)), Error::read_only);
  EXPECT_EQ(error_of(root->open("a", OpenMode::create_new)), Error::already_exists);
  EXPECT_EQ(error_of(root->open("none", OpenMode::write)), Error::not_found);
  for (const OpenMode mode : {OpenMode::create, OpenMode::create_new, OpenMode::replace})
    EXPECT_EQ(error_of(root->open("new", mode)), Error::read_only);
  EXPECT_EQ(error_of(root->make_folder("new")), Error::read_only);
  EXPECT_EQ(error_of(root->make_folder("sub")), Error::already_exists);
  EXPECT_EQ(error_of(root->make_link("new", "a")), Error::read_only);
  EXPECT_EQ(error_of(root->remove("a")), Error::read_only);
  EXPECT_EQ(error_of(root->rename("a", "b")), Error::read_only);
  EXPECT_EQ(names(*root), "a sub/");
  // Rights are those of the mount and not of what it lies in.
  must(tree.mount("sub", other.root(), Rights::read_write));
  write(*root, "sub/new", "N");
  EXPECT_EQ(read(*root, "sub/new"), "N");
}

// Wherever memory ends, the walk ends with an error and leaves nothing behind (~FsTest).
TEST_F(VfsTest, SurvivesALackOfMemoryAnywhere) {
  must(root_->make_link("link", "sub/deep"));
  Tmpfs other{machine_};
  const auto sequence = [](Vfs& tree, VfsFolder& root, Tmpfs& mounted) -> Task<Result<void>> {
    auto file = CO_TRY(co_await root.open("link/../deep/new", OpenMode::create));
    CO_TRY(co_await file->write_at(5'000, base::as_bytes("text")));
    auto folder = CO_TRY(co_await root.open_folder("link/."));
    CO_TRY(co_await folder->rename("new", "a name that is longer than the other one"));
    CO_TRY(co_await folder->make_folder("folder"));
    CO_TRY(co_await root.make_link("second", "a"));
    CO_TRY(co_await tree.mount("sub/deep", mounted.root()));
    CO_TRY(co_await tree.unmount("sub/deep"));
    co_return Result<void>{};
  };
  const auto clean = [](VfsFolder& root) -> Task<Result<void>> {
    for (const char* path : {"sub/deep/new", "sub/deep/a name that is longer than the other one",
                             "sub/deep/folder", "second"})
      (co_await root.remove(path)).ignore();
    co_return Result<void>{};
  };
  const std::size_t used = tmpfs_.budget().used();
  for (std::size_t allowed = 0;; ++allowed) {
    coro::test::frames_until_failure = allowed;
    const Result<void> outcome = run(sequence(tree_, *root_, other));
    coro::test::frames_until_failure = ~std::size_t{0};
    (void)run(tree_.unmount("sub/deep"));
    must(clean(*root_));
    ASSERT_EQ(tmpfs_.budget().used(), used) << allowed;
    if (outcome) {
      EXPECT_GT(allowed, 20U);
      break;
    }
    ASSERT_EQ(outcome.error(), Error::no_memory) << allowed;
  }
  EXPECT_EQ(names(*root_), "a link@ sub/");
  EXPECT_EQ(names(*must(root_->open_folder("sub/deep"))), "c");
}

}  // namespace
}  // namespace lichen::fs
