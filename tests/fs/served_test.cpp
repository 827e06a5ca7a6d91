// A folder behind the file service: from the host, from inside the program, and from memory. A
// client cannot tell which it was, but for when the files changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lichen/base/span.hpp"
#include "lichen/coro/channel.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/fs/initfs.hpp"
#include "lichen/fs/packed_files.hpp"
#include "lichen/fs/tmpfs.hpp"
#include "lichen/fs/vfs.hpp"
#include "lichen/image/run.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/net/http/file_cache.hpp"
#include "lichen/net/http/file_service.hpp"
#include "lichen/net/http/server.hpp"

namespace lichen::fs {
namespace {

using namespace std::chrono_literals;
using Answers = std::vector<std::string>;

class MemoryListener final : public io::Listener {
 public:
  Task<Result<std::unique_ptr<io::Stream>>> accept() override {
    co_return co_await streams_.receive();
  }
  [[nodiscard]] io::Address local() const override { return {}; }
  void close() noexcept override { streams_.close(); }
  Result<std::unique_ptr<io::Stream>> connect() {
    auto pair = TRY(io::make_stream_pair(65'536));
    if (!streams_.try_send(pair.second)) return Error::internal;
    return std::move(pair.first);
  }

 private:
  coro::Channel<std::unique_ptr<io::Stream>> streams_{coro::unbounded};
};

// Without what tells one copy of a file from another.
std::string without_times(std::string_view answer) {
  std::string kept;
  const std::size_t head = answer.find("\r\n\r\n");
  for (std::size_t at = 0; at < answer.size();) {
    const std::size_t end = std::min(answer.find("\r\n", at), answer.size() - 2) + 2;
    const std::string_view line = answer.substr(at, end - at);
    const bool changes = line.starts_with("ETag:") || line.starts_with("Last-Modified:") ||
                         line.starts_with("Date:");
    if (at > head || !changes) kept += line;
    at = end;
  }
  return kept;
}

Task<Result<std::string>> ask(MemoryListener& listener, std::string request) {
  auto stream = CO_TRY(listener.connect());
  CO_TRY(co_await stream->write_all(base::as_bytes(request)));
  std::string answer;
  for (;;) {
    const io::Buffer buffer = CO_TRY(co_await stream->receive());
    if (buffer.empty()) co_return answer;
    answer += base::as_string_view(buffer.bytes());
  }
}

const std::vector<std::string> requests = {"GET / ",
                                           "GET /www/ ",
                                           "HEAD /www/ ",
                                           "GET /www ",
                                           "GET /www?q ",
                                           "GET /www/index.html ",
                                           "GET /site.cpp ",
                                           "HEAD /site.cpp ",
                                           "GET /site.cpp/ ",
                                           "GET /site.cpp/x ",
                                           "GET /none ",
                                           "GET /none/ ",
                                           "GET /www/../site.cpp ",
                                           "GET /../site.cpp ",
                                           "GET /%2e%2e/site.cpp ",
                                           "GET //site.cpp ",
                                           "GET /www//index.html ",
                                           "GET /.hidden ",
                                           "POST /site.cpp "};

Task<Result<Answers>> serve(io::System& system, io::Folder& folder) {
  MemoryListener listener;
  net::http::FileService files{folder, {.list_folders = true}};
  net::http::Server server{listener, files, system, {}};
  Scope scope;
  scope.spawn(server.run());
  co_await yield();
  Answers answers;
  for (const std::string& request : requests) {
    for (const char* fields : {"", "Range: bytes=7-99\r\n", "Range: bytes=-5\r\n",
                               "Range: bytes=9999999-\r\n", "If-None-Match: *\r\n"})
      answers.push_back(request + fields + "\n" +
                        without_times(CO_TRY(co_await ask(
                            listener, request + "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" +
                                          fields + "\r\n"))));
  }
  // Asked again with its own tag it has not changed.
  const std::string first = CO_TRY(
      co_await ask(listener, "GET /site.cpp HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
  const std::size_t tag = first.find("ETag: ") + 6;
  answers.push_back(without_times(CO_TRY(co_await ask(
      listener, "GET /site.cpp HTTP/1.1\r\nHost: h\r\nConnection: close\r\nIf-None-Match: " +
                    first.substr(tag, first.find("\r\n", tag) - tag) + "\r\n\r\n"))));
  EXPECT_TRUE(answers.back().starts_with("HTTP/1.1 304 ")) << answers.back();
  server.drain(1s);
  CO_TRY(co_await scope.join());
  co_return answers;
}

Task<Result<void>> copy(io::Folder& from, io::Folder& to) {
  for (const io::FolderEntry& entry : CO_TRY(co_await from.list())) {
    if (entry.type == io::FileType::folder) {
      CO_TRY(co_await to.make_folder(entry.name));
      auto source = CO_TRY(co_await from.open_folder(entry.name));
      auto target = CO_TRY(co_await to.open_folder(entry.name));
      CO_TRY(co_await copy(*source, *target));
    } else {
      auto source = CO_TRY(co_await from.open(entry.name, io::OpenMode::read));
      auto target = CO_TRY(co_await to.open(entry.name, io::OpenMode::create_new));
      std::vector<std::byte> content(CO_TRY(co_await source->info()).size);
      CO_TRY(co_await source->read_at(0, content));
      CO_TRY(co_await target->write_at(0, content));
    }
  }
  co_return Result<void>{};
}

void expect_same(const Answers& actual, const Answers& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_EQ(actual[i], expected[i]);
}

TEST(FileService, AnswersTheSameWhereverItsFilesAre) {
  const auto outcome = run([](io::System& system) -> Task<Result<void>> {
    auto host = CO_TRY(co_await system.open_folder(PACKED_FOLDER));
    const Answers expected = CO_TRY(co_await serve(system, *host));
    EXPECT_TRUE(expected[5 * 5].find("HTTP/1.1 200 OK") != std::string::npos);

    const auto initfs = CO_TRY(Initfs::create(packed_files()));
    Vfs image{initfs->root(), Rights::read_only};
    expect_same(CO_TRY(co_await serve(system, *CO_TRY(image.open_root()))), expected);

    Tmpfs tmpfs{system};
    // In a mount of the image.
    Vfs tree{initfs->root(), Rights::read_only};
    CO_TRY(co_await tree.mount("www", tmpfs.root()));
    const auto root = CO_TRY(tree.open_root());
    auto www = CO_TRY(co_await root->open_folder("www"));
    CO_TRY(co_await copy(*host, *www));
    expect_same(CO_TRY(co_await serve(system, *www)), expected);
    co_return Result<void>{};
  });
  EXPECT_TRUE(outcome) << name(outcome.error());
}

// What lies in the program is sent from where it lies.
TEST(FileCache, CopiesNothingOfAnImage) {
  const auto outcome = run([](io::System&) -> Task<Result<void>> {
    const auto initfs = CO_TRY(Initfs::create(packed_files()));
    Vfs image{initfs->root(), Rights::read_only};
    const auto root = CO_TRY(image.open_root());
    net::http::FileCache cache{*root, {}};
    const auto page = CO_TRY(co_await cache.find("www/index.html"));
    EXPECT_TRUE(page->in_memory());
    const std::string_view all = base::as_string_view(packed_files());
    EXPECT_TRUE(page->text().data() > all.data() &&
                page->text().data() + page->text().size() < all.data() + all.size());
    EXPECT_TRUE(page->text().find("<html") != std::string_view::npos);
    EXPECT_EQ(cache.bytes(), 0U);
    co_return Result<void>{};
  });
  EXPECT_TRUE(outcome) << name(outcome.error());
}

}  // namespace
}  // namespace lichen::fs
