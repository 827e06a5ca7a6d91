#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "lichen/driver/linux/folder.hpp"
#include "lichen/driver/linux/host_test.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;
using io::OpenMode;

Task<Result<void>> write_text(io::Folder& folder, std::string_view path, std::string_view text) {
  auto file = CO_TRY(co_await folder.open(path, OpenMode::replace));
  co_return co_await file->write_at(0, bytes_of(text));
}
Task<Result<std::string>> read_text(io::Folder& folder, std::string_view path) {
  auto file = CO_TRY(co_await folder.open(path, OpenMode::read));
  const io::FileInfo info = CO_TRY(co_await file->info());
  std::string text(info.size + 1, '\0');
  text.resize(CO_TRY(co_await file->read_at(0, std::as_writable_bytes(std::span{text}))));
  co_return text;
}

Task<Result<void>> files(HostSystem& host) {
  const TemporaryFolder temporary;
  auto folder = CO_TRY(co_await host.open_folder(temporary.path()));
  EXPECT_TRUE((co_await folder->open("a", OpenMode::read)).failed_with(Error::not_found));
  EXPECT_TRUE((co_await folder->open("a", OpenMode::write)).failed_with(Error::not_found));
  CO_TRY(co_await write_text(*folder, "a", "one two three"));
  EXPECT_TRUE(
      (co_await folder->open("a", OpenMode::create_new)).failed_with(Error::already_exists));
  EXPECT_EQ(CO_TRY(co_await read_text(*folder, "a")), "one two three");

  auto file = CO_TRY(co_await folder->open("a", OpenMode::create));
  CO_TRY(co_await file->write_at(4, bytes_of("TWO")));
  CO_TRY(co_await file->sync());
  std::array<std::byte, 5> into;
  EXPECT_EQ(CO_TRY(co_await file->read_at(8, into)), 5U);
  EXPECT_EQ(text_of(into), "three");
  EXPECT_EQ(CO_TRY(co_await file->read_at(11, into)), 2U);
  EXPECT_EQ(CO_TRY(co_await file->read_at(1000, into)), 0U);
  const io::FileInfo info = CO_TRY(co_await file->info());
  EXPECT_EQ(info.size, 13U);
  EXPECT_EQ(info.type, io::FileType::file);
  EXPECT_GT(info.modified_ns, 1'600'000'000'000'000'000);
  EXPECT_EQ(CO_TRY(co_await folder->info("a")).inode, info.inode);

  // A file that shrinks while it is read.
  CO_TRY(co_await file->truncate(6));
  EXPECT_EQ(CO_TRY(co_await file->read_at(4, into)), 2U);
  EXPECT_EQ(CO_TRY(co_await file->read_at(8, into)), 0U);
  auto reader = CO_TRY(co_await folder->open("a", OpenMode::read));
  EXPECT_FALSE(co_await reader->write_at(0, bytes_of("x")));
  CO_TRY(co_await write_text(*folder, "a", ""));
  EXPECT_EQ(CO_TRY(co_await read_text(*folder, "a")), "");
  co_return Result<void>{};
}
TEST(HostFile, ReadsAndWrites) {
  for (const Features allowed : feature_sets()) run_on_host(files, {.allowed = allowed});
}

Task<Result<void>> folders(HostSystem& host) {
  const TemporaryFolder temporary;
  auto folder = CO_TRY(co_await host.open_folder(temporary.path()));
  CO_TRY(co_await folder->make_folder("sub"));
  EXPECT_TRUE((co_await folder->make_folder("sub")).failed_with(Error::already_exists));
  CO_TRY(co_await folder->make_folder("sub/deep/"));
  CO_TRY(co_await write_text(*folder, "sub/deep/file", "text"));
  EXPECT_TRUE((co_await folder->open("sub", OpenMode::read)).failed_with(Error::is_a_folder));
  EXPECT_TRUE(
      (co_await folder->open("sub/deep/file/x", OpenMode::read)).failed_with(Error::not_a_folder));
  EXPECT_TRUE((co_await folder->open_folder("sub/deep/file")).failed_with(Error::not_a_folder));
  auto sub = CO_TRY(co_await folder->open_folder("sub"));
  EXPECT_EQ(CO_TRY(co_await read_text(*sub, "deep/file")), "text");
  EXPECT_EQ(CO_TRY(co_await read_text(*sub, "./deep//file")), "text");
  EXPECT_EQ(CO_TRY(co_await folder->info("sub")).type, io::FileType::folder);

  CO_TRY(co_await sub->rename("deep/file", "other"));
  CO_TRY(co_await write_text(*sub, "third", "3"));
  CO_TRY(co_await sub->rename("third", "other"));  // replaces it
  auto entries = CO_TRY(co_await sub->list());
  std::ranges::sort(entries, {}, &io::FolderEntry::name);
  EXPECT_EQ(entries.size(), 2U);
  if (entries.size() == 2) {
    EXPECT_EQ(entries[0].name, "deep");
    EXPECT_EQ(entries[0].type, io::FileType::folder);
    EXPECT_EQ(entries[1].name, "other");
    EXPECT_EQ(entries[1].type, io::FileType::file);
  }
  EXPECT_TRUE((co_await folder->remove("sub")).failed_with(Error::not_empty));
  CO_TRY(co_await folder->remove("sub/other"));
  CO_TRY(co_await folder->remove("sub/deep"));
  CO_TRY(co_await folder->remove("sub"));
  EXPECT_TRUE((co_await folder->remove("sub")).failed_with(Error::not_found));
  EXPECT_TRUE(CO_TRY(co_await folder->list()).empty());
  EXPECT_TRUE(
      (co_await host.open_folder(temporary.path() + "/none")).failed_with(Error::not_found));
  co_return Result<void>{};
}
TEST(HostFolder, HoldsFilesAndFolders) {
  for (const Features allowed : feature_sets()) run_on_host(folders, {.allowed = allowed});
}

Task<Result<void>> confined(HostSystem& host) {
  const TemporaryFolder temporary;
  const std::filesystem::path root{temporary.path()};
  std::filesystem::create_directories(root / "inside/sub");
  auto outside = CO_TRY(co_await host.open_folder(temporary.path()));
  CO_TRY(co_await write_text(*outside, "secret", "secret"));
  std::filesystem::create_symlink("../secret", root / "inside/link");
  std::filesystem::create_symlink("..", root / "inside/up");
  std::filesystem::create_symlink("/etc", root / "inside/etc");
  auto folder = CO_TRY(co_await outside->open_folder("inside"));
  for (const char* path : {"../secret", "sub/../../secret", "/etc/passwd", "link", "up/secret",
                           "etc/passwd", "sub/../link", ".."}) {
    EXPECT_TRUE((co_await folder->open(path, OpenMode::read)).failed_with(Error::path_escapes))
        << path;
    EXPECT_TRUE((co_await folder->info(path)).failed_with(Error::path_escapes)) << path;
  }
  for (const char* path : {"../new", "/new", "up/new", "..", "sub/.."}) {
    EXPECT_TRUE((co_await folder->make_folder(path)).failed_with(Error::path_escapes)) << path;
    EXPECT_TRUE((co_await folder->remove(path)).failed_with(Error::path_escapes)) << path;
    EXPECT_TRUE((co_await folder->rename("sub", path)).failed_with(Error::path_escapes)) << path;
  }
  EXPECT_TRUE((co_await folder->open_folder("up")).failed_with(Error::path_escapes));
  EXPECT_TRUE((co_await folder->open("", OpenMode::read)).failed_with(Error::invalid_argument));
  EXPECT_TRUE((co_await folder->open(std::string_view{"a\0b", 3}, OpenMode::read))
                  .failed_with(Error::invalid_argument));
  EXPECT_TRUE((co_await folder->open(std::string(5000, 'x'), OpenMode::read))
                  .failed_with(Error::too_large));
  // A link itself may be taken away.
  CO_TRY(co_await folder->remove("link"));
  EXPECT_EQ(CO_TRY(co_await read_text(*outside, "secret")), "secret");
  co_return Result<void>{};
}
TEST(HostFolder, LetsNoPathOut) {
  run_on_host(confined);
  run_on_host(confined, {.allowed = Features::all().without(Feature::open_beneath)});
}

Task<Result<void>> link_loops(HostSystem& host) {
  const TemporaryFolder temporary;
  const std::filesystem::path root{temporary.path()};
  std::filesystem::create_symlink("b", root / "a");
  std::filesystem::create_symlink("a", root / "b");
  auto folder = CO_TRY(co_await host.open_folder(temporary.path()));
  for (const char* path : {"a", "b/c"}) {
    EXPECT_TRUE((co_await folder->open(path, OpenMode::read)).failed_with(Error::link_loop))
        << path;
    EXPECT_TRUE((co_await folder->open_folder(path)).failed_with(Error::link_loop)) << path;
  }
  CO_TRY(co_await folder->remove("a"));
  EXPECT_TRUE((co_await folder->open("b", OpenMode::read)).failed_with(Error::not_found));
  co_return Result<void>{};
}
TEST(HostFolder, TellsALoopOfLinks) { run_on_host(link_loops); }

// Every operation may be stopped at any moment; it has then happened or not, and nothing is left of
// it.
Task<Result<void>> stopped_operations(HostSystem& host) {
  const TemporaryFolder temporary;
  auto folder = CO_TRY(co_await host.open_folder(temporary.path()));
  auto file = CO_TRY(co_await folder->open("file", OpenMode::replace));
  std::vector<std::byte> bytes(1 << 20);
  for (int round = 0; round < 10; ++round) {
    for (const auto limit : {0ns, 1'000ns, 100'000ns}) {
      (co_await with_timeout(limit, file->write_at(0, bytes))).ignore();
      (co_await with_timeout(limit, file->read_at(0, bytes))).ignore();
      (co_await with_timeout(limit, file->sync())).ignore();
      (co_await with_timeout(limit, file->truncate(1000))).ignore();
      (co_await with_timeout(limit, file->info())).ignore();
      (co_await with_timeout(limit, folder->open("new", OpenMode::create))).ignore();
      (co_await with_timeout(limit, folder->open_folder("."))).ignore();
      (co_await with_timeout(limit, folder->list())).ignore();
      (co_await with_timeout(limit, folder->make_folder("sub"))).ignore();
      (co_await with_timeout(limit, folder->rename("new", "newer"))).ignore();
      (co_await with_timeout(limit, folder->remove("sub"))).ignore();
      (co_await with_timeout(limit, host.open_folder(temporary.path()))).ignore();
    }
  }
  co_return Result<void>{};
}
TEST(HostFile, OperationsCanBeStopped) {
  run_on_host(stopped_operations);
  run_on_host(stopped_operations, {.allowed = Features{}});
}

// Something that is neither file nor folder does not hold anybody up.
Task<Result<void>> named_pipe(HostSystem& host) {
  const TemporaryFolder temporary;
  auto folder = CO_TRY(co_await host.open_folder(temporary.path()));
  EXPECT_EQ(mkfifo((temporary.path() + "/pipe").c_str(), 0600), 0);
  auto pipe = CO_TRY(co_await folder->open("pipe", OpenMode::read));
  EXPECT_EQ(CO_TRY(co_await pipe->info()).type, io::FileType::other);
  co_return Result<void>{};
}
TEST(HostFolder, IsNotHeldUpByANamedPipe) { run_on_host(named_pipe); }

Task<Result<void>> pipes(HostSystem& host) {
  io::System::Pipe pipe = CO_TRY(host.make_pipe());
  std::array<std::byte, 8> into;
  EXPECT_TRUE((co_await with_timeout(1ms, pipe.reader->read(into))).failed_with(Error::timed_out));
  EXPECT_TRUE((co_await with_timeout(1ms, pipe.reader->receive())).failed_with(Error::timed_out));
  CO_TRY(co_await pipe.writer->write_all(bytes_of("through")));
  EXPECT_EQ(CO_TRY(co_await pipe.reader->read(into)), 7U);
  EXPECT_EQ(text_of(std::span{into}.first(7)), "through");
  CO_TRY(co_await pipe.writer->write_all(bytes_of("lent")));
  EXPECT_EQ(text_of(CO_TRY(co_await pipe.reader->receive()).bytes()), "lent");
  const std::vector<std::byte> much(8 << 20);
  EXPECT_TRUE(
      (co_await with_timeout(5ms, pipe.writer->write_all(much))).failed_with(Error::timed_out));
  pipe.reader.reset();
  EXPECT_TRUE((co_await pipe.writer->write_all(bytes_of("x"))).failed_with(Error::closed));
  pipe = CO_TRY(host.make_pipe());
  pipe.writer.reset();
  EXPECT_EQ(CO_TRY(co_await pipe.reader->read(into)), 0U);
  EXPECT_TRUE(CO_TRY(co_await pipe.reader->receive()).empty());
  co_return Result<void>{};
}
TEST(HostPipe, CarriesBytes) { run_on_host(pipes); }

Task<Result<void>> signals(HostSystem& host) {
  EXPECT_TRUE((co_await with_timeout(1ms, host.next_request())).failed_with(Error::timed_out));
  for (const auto& [signal, request] :
       {std::pair{SIGINT, io::Request::stop}, std::pair{SIGTERM, io::Request::stop},
        std::pair{SIGHUP, io::Request::reload}}) {
    raise(signal);
    EXPECT_EQ(CO_TRY(co_await host.next_request()), request);
  }
  co_return Result<void>{};
}
TEST(HostRequests, ComeFromSignals) {
  signal(SIGHUP, SIG_DFL);
  run_on_host(signals);
}

Task<Result<void>> clock(HostSystem& host) {
  EXPECT_GT(host.wall_clock_ns(), 1'600'000'000'000'000'000);
  co_return Result<void>{};
}
TEST(HostSystem, TellsTheTime) { run_on_host(clock); }

}  // namespace
}  // namespace lichen::driver::test
