#include "lichen/fs/initfs.hpp"

#include <cstdio>
#include <memory>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/fs/fs_test.hpp"

namespace lichen::fs {
namespace {

using test::FileType;
using test::OpenMode;

constexpr unsigned file_mode = 0100644;
constexpr unsigned folder_mode = 0040755;
constexpr unsigned link_mode = 0120777;

// The numbers of a header that tests change.
struct Header {
  unsigned mode = file_mode;
  unsigned inode = 7;
  unsigned links = 1;
  unsigned time = 1'000;
  std::size_t size = SIZE_MAX;       // else what the content has
  std::size_t name_size = SIZE_MAX;  // else what the name has
  const char* magic = "070701";
};

// An archive, entry by entry.
class Archive {
 public:
  Archive& add(std::string_view name, std::string_view content = {}, const Header& header = {}) {
    char text[111];
    const auto name_size = header.name_size == SIZE_MAX ? name.size() + 1 : header.name_size;
    const auto size = header.size == SIZE_MAX ? content.size() : header.size;
    std::snprintf(text, sizeof text, "%s%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
                  header.magic, header.inode, header.mode, 0U, 0U, header.links, header.time,
                  static_cast<unsigned>(size), 8U, 1U, 0U, 0U, static_cast<unsigned>(name_size),
                  0U);
    bytes_.append(text);
    bytes_.append(name).push_back('\0');
    pad();
    bytes_.append(content);
    pad();
    return *this;
  }
  Archive& file(std::string_view name, std::string_view content) { return add(name, content); }
  Archive& folder(std::string_view name) { return add(name, {}, {.mode = folder_mode}); }
  Archive& link(std::string_view name, std::string_view target) {
    return add(name, target, {.mode = link_mode});
  }
  Archive& end() { return add("TRAILER!!!", {}, {.mode = 0, .inode = 0, .time = 0}); }
  [[nodiscard]] std::string& bytes() { return bytes_; }

 private:
  void pad() { bytes_.resize((bytes_.size() + 3) & ~std::size_t{3}); }
  std::string bytes_;
};

class InitfsTest : public test::FsTest {
 protected:
  // In memory of exactly its size, for the sanitizer.
  Result<std::unique_ptr<Initfs>> parse(std::string_view bytes) {
    image_ = std::make_unique<char[]>(bytes.size());
    bytes.copy(image_.get(), bytes.size());
    return Initfs::create(base::as_bytes({image_.get(), bytes.size()}));
  }
  Error error_of_image(Archive& archive) { return parse(archive.bytes()).error(); }
  using FsTest::error_of;

  static Archive sample() {
    Archive archive;
    archive.folder(".").folder("sub").file("sub/b", "BB").file("a", "content").folder("sub/deep");
    archive.file("sub/deep/c", "").link("sub/link", "../a").add("pipe", {}, {.mode = 0010644});
    archive.file("a.b", "between").file("sub.x", "beside");
    archive.end();
    return archive;
  }

  std::unique_ptr<char[]> image_;
};

TEST_F(InitfsTest, HoldsWhatTheArchiveHolds) {
  const auto files = parse(sample().bytes());
  ASSERT_TRUE(files) << name(files.error());
  EXPECT_EQ((*files)->size(), 10U);
  Vfs tree{(*files)->root(), Rights::read_only};
  const auto root = *tree.open_root();
  EXPECT_EQ(names(*root), "a a.b pipe sub/ sub.x");
  EXPECT_EQ(names(*must(root->open_folder("sub"))), "b deep/ link@");
  EXPECT_EQ(read(*root, "a"), "content");
  EXPECT_EQ(read(*root, "sub/link"), "content");
  EXPECT_EQ(read(*root, "sub/deep/../b"), "BB");
  EXPECT_EQ(read(*root, "sub/deep/c"), "");
  EXPECT_EQ(read(*root, "none"), "not_found");
  EXPECT_EQ(read(*root, "a/b"), "not_a_folder");
  EXPECT_EQ(read(*root, "sub/none"), "not_found");
  const io::FileInfo info = must(root->info("a"));
  EXPECT_EQ(info.type, FileType::file);
  EXPECT_EQ(info.size, 7U);
  EXPECT_EQ(info.modified_ns, 1'000'000'000'000);
  EXPECT_EQ(info.inode, 7U);
  EXPECT_EQ(must(root->info("pipe")).type, FileType::other);
  const auto pipe = must(root->open("pipe", OpenMode::read));
  std::array<std::byte, 4> into;
  EXPECT_EQ(error_of(pipe->read_at(0, into)), Error::not_supported);

  // Where they are, without a copy.
  const auto file = must(root->open("a", OpenMode::read));
  EXPECT_EQ(base::as_string_view(file->resident()), "content");
  EXPECT_GE(reinterpret_cast<const char*>(file->resident().data()), image_.get());
  EXPECT_EQ(must(file->read_at(5, into)), 2U);
  EXPECT_EQ(must(file->read_at(~std::uint64_t{0}, into)), 0U);
  EXPECT_EQ(must(file->read_at(3, {})), 0U);
}

TEST_F(InitfsTest, IsNotChanged) {
  const auto files = parse(sample().bytes());
  ASSERT_TRUE(files);
  // Whatever rights the mount has.
  Vfs tree{(*files)->root(), Rights::read_write};
  const auto root = *tree.open_root();
  EXPECT_EQ(error_of(root->open("new", OpenMode::create)), Error::read_only);
  EXPECT_EQ(error_of(root->open("a", OpenMode::replace)), Error::read_only);
  EXPECT_EQ(error_of(root->make_folder("new")), Error::read_only);
  EXPECT_EQ(error_of(root->remove("a")), Error::read_only);
  EXPECT_EQ(error_of(root->rename("a", "b")), Error::read_only);
  const auto file = must(root->open("a", OpenMode::write));
  EXPECT_EQ(error_of(file->write_at(0, base::as_bytes("x"))), Error::read_only);
  EXPECT_EQ(error_of(file->truncate(0)), Error::read_only);
  must(file->sync());
  // But something may be mounted in it.
  Tmpfs tmpfs{machine_};
  must(tree.mount("sub/deep", tmpfs.root()));
  write(*root, "sub/deep/x", "X");
  EXPECT_EQ(read(*root, "sub/deep/x"), "X");
  must(tree.unmount("sub/deep"));
}

TEST_F(InitfsTest, TakesWhatWritersMake) {
  Archive archive;
  // Files before their folder, names with "./", no entry for the root, records filled with zeros.
  archive.file("./sub/b", "B").folder("./sub").file("a", "A").end();
  archive.bytes().resize(4'096);
  auto files = parse(archive.bytes());
  ASSERT_TRUE(files) << name(files.error());
  {
    Vfs tree{(*files)->root()};
    const auto root = *tree.open_root();
    EXPECT_EQ(read(*root, "sub/b"), "B");
    EXPECT_EQ(names(*root), "a sub/");
  }
  Archive empty;
  empty.end();
  files = parse(empty.bytes());
  ASSERT_TRUE(files);
  EXPECT_EQ((*files)->size(), 1U);
}

TEST_F(InitfsTest, RefusesNamesThatAreNone) {
  const auto error = [&](std::string_view name) {
    Archive archive;
    archive.folder("sub").add(name, "x").end();
    return error_of_image(archive);
  };
  EXPECT_EQ(error("sub/ok"), Error{});
  EXPECT_EQ(error("/a"), Error::path_escapes);
  EXPECT_EQ(error(".."), Error::path_escapes);
  EXPECT_EQ(error("../a"), Error::path_escapes);
  EXPECT_EQ(error("sub/../../a"), Error::path_escapes);
  EXPECT_EQ(error("./.."), Error::path_escapes);
  EXPECT_EQ(error(""), Error::protocol_error);
  EXPECT_EQ(error("./"), Error::protocol_error);
  EXPECT_EQ(error("sub/"), Error::protocol_error);
  EXPECT_EQ(error("sub//a"), Error::protocol_error);
  EXPECT_EQ(error("sub/./a"), Error::protocol_error);
  EXPECT_EQ(error({"a\0b", 3}), Error::protocol_error);
  EXPECT_EQ(error(std::string(256, 'x')), Error::too_large);
  EXPECT_EQ(error("sub/" + std::string(5'000, 'x')), Error::too_large);
  EXPECT_EQ(error("none/a"), Error::not_found);
  EXPECT_EQ(error("sub"), Error::already_exists);
  EXPECT_EQ(error("./sub"), Error::already_exists);
  EXPECT_EQ(error("."), Error::not_a_folder);
}

TEST_F(InitfsTest, RefusesEntriesThatDoNotFitTogether) {
  Archive twice;
  twice.file("a", "1").file("b", "2").file("a", "3").end();
  EXPECT_EQ(error_of_image(twice), Error::already_exists);
  Archive below_a_file;
  below_a_file.file("a", "1").file("a/b", "2").end();
  EXPECT_EQ(error_of_image(below_a_file), Error::not_a_folder);
  Archive below_a_link;
  below_a_link.folder("a").link("l", "a").file("l/b", "2").end();
  EXPECT_EQ(error_of_image(below_a_link), Error::not_a_folder);
  Archive two_roots;
  two_roots.folder(".").folder(".").end();
  EXPECT_EQ(error_of_image(two_roots), Error::already_exists);
  Archive folder_with_content;
  folder_with_content.add("a", "x", {.mode = folder_mode}).end();
  EXPECT_EQ(error_of_image(folder_with_content), Error::protocol_error);
  Archive empty_link;
  empty_link.link("l", "").end();
  EXPECT_EQ(error_of_image(empty_link), Error::protocol_error);
  Archive cut_link;
  cut_link.link("l", {"a\0b", 3}).end();
  EXPECT_EQ(error_of_image(cut_link), Error::protocol_error);
  Archive hard_link;
  hard_link.add("a", "", {.links = 2}).add("b", "x", {.links = 2}).end();
  EXPECT_EQ(error_of_image(hard_link), Error::not_supported);
}

TEST_F(InitfsTest, RefusesNumbersThatLie) {
  for (const std::size_t size :
       {std::size_t{200}, std::size_t{0x7FFFFFFF}, std::size_t{0xFFFFFFFF}}) {
    Archive content;
    content.add("a", "x", {.size = size}).end();
    EXPECT_EQ(error_of_image(content), Error::end_of_stream) << size;
    Archive named;
    named.add("a", "x", {.name_size = size}).end();
    EXPECT_NE(error_of_image(named), Error{}) << size;
  }
  Archive unnamed;
  unnamed.add("a", "x", {.name_size = 0}).end();
  EXPECT_EQ(error_of_image(unnamed), Error::protocol_error);
  Archive without_zero;
  without_zero.add("abc", "x", {.name_size = 3}).end();
  EXPECT_EQ(error_of_image(without_zero), Error::protocol_error);
  for (const char* magic : {"070702", "070707", "x70701", "07070 "}) {
    Archive other;
    other.add("a", "x", {.magic = magic}).end();
    EXPECT_EQ(error_of_image(other), Error::protocol_error) << magic;
  }
  for (std::size_t at = 6; at < 110; ++at) {
    Archive archive;
    archive.file("a", "x").end();
    archive.bytes()[at] = 'g';
    EXPECT_EQ(error_of_image(archive), Error::protocol_error) << at;
  }
  Archive behind;
  behind.end().bytes() += "x";
  EXPECT_EQ(error_of_image(behind), Error::protocol_error);
  Archive full_trailer;
  full_trailer.add("TRAILER!!!", "x");
  EXPECT_EQ(error_of_image(full_trailer), Error::protocol_error);
}

TEST_F(InitfsTest, RefusesWhatIsCutOff) {
  const std::string whole = sample().bytes();
  // The padding of the trailer's name is the first that may be missing.
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Error error = parse(std::string_view{whole}.substr(0, size)).error();
    ASSERT_EQ(error, Error::end_of_stream) << size;
  }
}

// No change of a byte makes it do what it must not, and what it takes can be walked.
TEST_F(InitfsTest, SurvivesAnyChange) {
  const std::string whole = sample().bytes();
  base::Random random{1};
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = whole;
    for (std::uint64_t i = random.below(4) + 1; i > 0; --i)
      changed[random.below(changed.size())] = random.below(2) == 0
                                                  ? "0123456789abcdef/.\0"[random.below(19)]
                                                  : static_cast<char>(random());
    const auto files = parse(changed);
    if (!files) continue;
    Vfs tree{(*files)->root()};
    const auto root = *tree.open_root();
    for (const io::FolderEntry& entry : must(root->list()))
      if (entry.type == FileType::file) (void)read(*root, entry.name);
  }
}

TEST_F(InitfsTest, SurvivesALackOfMemoryAnywhere) {
  const std::string whole = sample().bytes();
  for (std::size_t allowed = 0;; ++allowed) {
    coro::test::frames_until_failure = allowed;
    const auto files = parse(whole);
    coro::test::frames_until_failure = ~std::size_t{0};
    if (files) {
      EXPECT_EQ(allowed, 5U);
      break;
    }
    ASSERT_EQ(files.error(), Error::no_memory);
  }
}

}  // namespace
}  // namespace lichen::fs
