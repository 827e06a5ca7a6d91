#include "lichen/net/http/file_service.hpp"

#include <map>

#include "lichen/net/http/test_world.hpp"

namespace lichen::net::http {
namespace {

using test::head;
using test::Seen;

// A folder in memory: names with slashes, and what is behind them.
class FakeFolder final : public io::Folder {
 public:
  struct Entry {
    std::string content{};
    std::int64_t modified_ns = 784'111'777'500'000'000;
    io::FileType type = io::FileType::file;
    std::size_t readable = ~std::size_t{0};  // bytes that are left when it is read
  };

  Task<Result<std::unique_ptr<io::File>>> open(std::string_view path, io::OpenMode) override {
    ++opened;
    const auto found = entries.find(path);
    if (fails != Error{}) co_return fails;
    if (path.find("..") != path.npos) co_return Error::internal;
    if (found == entries.end()) co_return Error::not_found;
    co_return std::make_unique<FakeFile>(found->second);
  }
  Task<Result<std::unique_ptr<io::Folder>>> open_folder(std::string_view path) override {
    auto inner = std::make_unique<FakeFolder>();
    const std::string prefix = std::string{path} + "/";
    for (const auto& [name, entry] : entries)
      if (name.starts_with(prefix)) inner->entries[name.substr(prefix.size())] = entry;
    if (inner->entries.empty()) co_return Error::not_found;
    co_return inner;
  }
  Task<Result<io::FileInfo>> info(std::string_view path) override {
    const auto found = entries.find(path);
    if (found == entries.end()) co_return Error::not_found;
    co_return info_of(found->second);
  }
  Task<Result<std::vector<io::FolderEntry>>> list() override {
    std::vector<io::FolderEntry> all;
    for (const auto& [name, entry] : entries)
      if (name.find('/') == name.npos) all.push_back({name, entry.type});
    co_return all;
  }
  Task<Result<void>> make_folder(std::string_view) override { co_return Error::read_only; }
  Task<Result<void>> remove(std::string_view) override { co_return Error::read_only; }
  Task<Result<void>> rename(std::string_view, std::string_view) override {
    co_return Error::read_only;
  }

  std::map<std::string, Entry, std::less<>> entries;
  Error fails{};
  int opened = 0;

 private:
  static io::FileInfo info_of(const Entry& entry) {
    return {entry.type, entry.content.size(), entry.modified_ns, 7};
  }

  class FakeFile final : public io::File {
   public:
    explicit FakeFile(const Entry& entry) : entry_{entry} {}
    Task<Result<std::size_t>> read_at(std::uint64_t offset, std::span<std::byte> into) override {
      const std::string_view all = std::string_view{entry_.content}.substr(0, entry_.readable);
      co_return all.substr(std::min<std::uint64_t>(offset, all.size()))
          .copy(reinterpret_cast<char*>(into.data()), into.size());
    }
    Task<Result<void>> write_at(std::uint64_t, std::span<const std::byte>) override {
      co_return Error::read_only;
    }
    Task<Result<io::FileInfo>> info() override { co_return info_of(entry_); }
    Task<Result<void>> truncate(std::uint64_t) override { co_return Error::read_only; }
    Task<Result<void>> sync() override { co_return Result<void>{}; }

   private:
    const Entry& entry_;
  };
};

constexpr std::string_view validators = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

class HttpFiles : public test::TestWorld {
 protected:
  HttpFiles() {
    folder_.entries["index.html"] = {.content = "<h1>root</h1>"};
    folder_.entries["a.txt"] = {.content = digits};
    folder_.entries["big.bin"] = {.content = std::string(200'000, 'b')};
    folder_.entries["empty"] = {};
    folder_.entries["sub"] = {.type = io::FileType::folder};
    folder_.entries["sub/<b>&.txt"] = {.content = "x"};
    folder_.entries["sub/.secret"] = {.content = "x"};
    folder_.entries["sub/c d"] = {.type = io::FileType::folder};
    folder_.entries["pipe"] = {.type = io::FileType::other};
  }

  Seen ask(std::string_view target, std::string_view fields = "", std::string_view method = "GET",
           FileServiceOptions options = {}) {
    FileService files{folder_, options};
    return talk_once(files, std::string{method} + " " + std::string{target} +
                                " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" +
                                std::string{fields} + "\r\n");
  }
  std::string status(std::string_view target, std::string_view fields = "",
                     std::string_view method = "GET", FileServiceOptions options = {}) {
    const std::string text = ask(target, fields, method, options).text;
    return text.substr(std::min<std::size_t>(9, text.size()), 3);
  }
  static std::string field(const std::string& text, std::string_view name) {
    const std::string start = "\r\n" + std::string{name} + ": ";
    const std::size_t at = text.find(start);
    if (at == text.npos) return "";
    const std::size_t begin = at + start.size();
    return text.substr(begin, text.find("\r\n", begin) - begin);
  }
  static std::string content(const std::string& text) {
    return text.substr(std::min(text.find("\r\n\r\n") + 4, text.size()));
  }

  std::string digits = [] {
    std::string text;
    for (int i = 0; i < 100; ++i) text += "0123456789";
    return text;
  }();
  FakeFolder folder_;
};

TEST_F(HttpFiles, Serves) {
  const Seen seen = ask("/a.txt");
  EXPECT_EQ(content(seen.text), digits);
  EXPECT_EQ(field(seen.text, "Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(field(seen.text, "Content-Length"), "1000");
  EXPECT_EQ(field(seen.text, "Accept-Ranges"), "bytes");
  EXPECT_NE(seen.text.find(validators), seen.text.npos);
  EXPECT_EQ(content(ask("/").text), "<h1>root</h1>");
  EXPECT_EQ(content(ask("/%61.txt?ignored").text), digits);
  EXPECT_EQ(content(ask("/big.bin").text), folder_.entries["big.bin"].content);
  EXPECT_EQ(field(ask("/empty").text, "Content-Length"), "0");
}

TEST_F(HttpFiles, HeadHasNoContent) {
  for (const std::string_view target : {"/a.txt", "/big.bin", "/empty"}) {
    const std::string got = ask(target).text;
    EXPECT_EQ(ask(target, "", "HEAD").text, got.substr(0, got.find("\r\n\r\n") + 4));
  }
}

TEST_F(HttpFiles, FindsNothingOutsideOrHidden) {
  for (const std::string_view target :
       {"/missing", "/../a.txt", "/%2e%2e/a.txt", "/sub/../../a.txt", "/sub/.secret",
        "/.git/config", "/pipe", "/sub/"})
    EXPECT_EQ(status(target), "404") << target;
  for (const std::string_view target : {"/a%2Ftxt", "/a%00", "/a\\b", "/%zz"})
    EXPECT_EQ(status(target), "400") << target;
  EXPECT_EQ(status("/" + std::string(3'000, 'a')), "414");
  EXPECT_EQ(status("/sub/.secret", "", "GET", {.show_hidden = true}), "200");
}

TEST_F(HttpFiles, TellsErrorsApart) {
  folder_.fails = Error::access_denied;
  EXPECT_EQ(status("/a.txt"), "403");
  folder_.fails = Error::limit_reached;
  EXPECT_EQ(status("/a.txt"), "503");
  folder_.fails = Error::path_escapes;
  EXPECT_EQ(status("/a.txt"), "404");
  folder_.fails = Error::link_loop;
  EXPECT_EQ(status("/a.txt"), "404");
  folder_.fails = Error::io_failed;
  EXPECT_EQ(status("/a.txt"), "500");
}

TEST_F(HttpFiles, AllowsOnlyReading) {
  for (const std::string_view method : {"POST", "PUT", "DELETE", "BREW"}) {
    const std::string text = ask("/a.txt", "", method).text;
    EXPECT_TRUE(text.starts_with("HTTP/1.1 405 "));
    EXPECT_EQ(field(text, "Allow"), "GET, HEAD");
  }
}

TEST_F(HttpFiles, RedirectsAFolderToItsSlash) {
  const std::string text = ask("/sub?a=b").text;
  EXPECT_TRUE(text.starts_with("HTTP/1.1 301 "));
  EXPECT_EQ(field(text, "Location"), "/sub/?a=b");
  // Never to another host.
  EXPECT_EQ(field(ask("//sub").text, "Location"), "/sub/");
}

TEST_F(HttpFiles, ListsFoldersWhenAllowed) {
  const FileServiceOptions options{.list_folders = true};
  const std::string page = content(ask("/sub/", "", "GET", options).text);
  EXPECT_NE(page.find("<a href=\"./%3Cb%3E%26.txt\">&lt;b&gt;&amp;.txt</a>"), page.npos) << page;
  EXPECT_NE(page.find("<a href=\"./c%20d/\">c d/</a>"), page.npos) << page;
  EXPECT_LT(page.find("c%20d"), page.find("%3Cb"));
  EXPECT_EQ(page.find("secret"), page.npos);
  EXPECT_EQ(page.find("<b>"), page.npos);
  EXPECT_EQ(status("/missing/", "", "GET", options), "404");
}

TEST_F(HttpFiles, AnswersConditions) {
  const std::string tag = field(ask("/a.txt").text, "ETag");
  EXPECT_TRUE(EntityTag::parse(tag));
  const Seen fresh = ask("/a.txt", "If-None-Match: " + tag + "\r\n");
  EXPECT_EQ(fresh.text, head("304 Not Modified", "ETag: " + tag + "\r\n" + std::string{validators} +
                                                     "Connection: close\r\n"));
  EXPECT_EQ(status("/a.txt", "If-None-Match: \"other\"\r\n"), "200");
  EXPECT_EQ(status("/a.txt", "If-Match: \"other\"\r\n"), "412");
  EXPECT_EQ(status("/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "304");
  EXPECT_EQ(status("/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"), "200");
  folder_.entries["a.txt"].modified_ns += 1;
  EXPECT_EQ(status("/a.txt", "If-None-Match: " + tag + "\r\n"), "200");
}

TEST_F(HttpFiles, AnswersRanges) {
  const Seen one = ask("/a.txt", "Range: bytes=5-14\r\n");
  EXPECT_TRUE(one.text.starts_with("HTTP/1.1 206 "));
  EXPECT_EQ(field(one.text, "Content-Range"), "bytes 5-14/1000");
  EXPECT_EQ(field(one.text, "Content-Length"), "10");
  EXPECT_EQ(content(one.text), "5678901234");
  EXPECT_EQ(content(ask("/a.txt", "Range: bytes=-3\r\n").text), "789");
  EXPECT_EQ(content(ask("/big.bin", "Range: bytes=100000-\r\n").text), std::string(100'000, 'b'));

  const std::string behind = ask("/a.txt", "Range: bytes=1000-\r\n").text;
  EXPECT_TRUE(behind.starts_with("HTTP/1.1 416 "));
  EXPECT_EQ(field(behind, "Content-Range"), "bytes */1000");

  EXPECT_EQ(status("/a.txt", "Range: bytes=1-0\r\n"), "200");
  EXPECT_EQ(status("/a.txt", "Range: bytes=0-1\r\nRange: bytes=3-4\r\n"), "200");
  EXPECT_EQ(status("/a.txt", "Range: bytes=0-1\r\n", "HEAD"), "200");
  EXPECT_EQ(status("/a.txt", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n"), "200");
  const std::string tag = field(one.text, "ETag");
  EXPECT_EQ(status("/a.txt", "Range: bytes=0-1\r\nIf-Range: " + tag + "\r\n"), "206");
}

TEST_F(HttpFiles, AnswersSeveralRangesInParts) {
  for (const std::string_view target : {"/a.txt", "/big.bin"}) {
    const Seen seen = ask(target, "Range: bytes=0-4,500-509,-1\r\n");
    EXPECT_TRUE(seen.text.starts_with("HTTP/1.1 206 "));
    const std::string type = field(seen.text, "Content-Type");
    ASSERT_TRUE(type.starts_with("multipart/byteranges; boundary="));
    const std::string boundary = "\r\n--" + type.substr(type.find('=') + 1);
    const std::string body = content(seen.text);
    EXPECT_EQ(field(seen.text, "Content-Length"), std::to_string(body.size()));
    EXPECT_TRUE(body.starts_with(boundary + "\r\nContent-Type: "));
    EXPECT_TRUE(body.ends_with(boundary + "--\r\n"));
    const std::string all = folder_.entries[std::string{target.substr(1)}].content;
    const std::string second = "\r\nContent-Range: bytes 500-509/" + std::to_string(all.size()) +
                               "\r\n\r\n" + all.substr(500, 10) + boundary;
    EXPECT_NE(body.find(second), body.npos) << body;
  }
}

TEST_F(HttpFiles, CutsTheConnectionWhenAFileShrinks) {
  folder_.entries["big.bin"].readable = 150'000;
  const Seen seen = ask("/big.bin");
  EXPECT_EQ(seen.error, Error::connection_reset);
  // Before anything was said it can still be told.
  folder_.entries["a.txt"].readable = 10;
  EXPECT_EQ(status("/a.txt"), "500");
}

TEST_F(HttpFiles, LooksAtAFileAgainAfterAWhile) {
  FileService files{folder_};
  serve(files, [&]() -> Task<Result<void>> {
    const std::string text = "GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    CO_TRY(co_await talk(text));
    CO_TRY(co_await talk(text));
    EXPECT_EQ(folder_.opened, 1);
    CO_TRY(co_await sleep_for(std::chrono::seconds{2}));
    CO_TRY(co_await talk(text));
    EXPECT_EQ(folder_.opened, 1);
    folder_.entries["a.txt"].content = "changed";
    CO_TRY(co_await sleep_for(std::chrono::seconds{2}));
    EXPECT_EQ(content(CO_TRY(co_await talk(text)).text), "changed");
    folder_.entries.erase("a.txt");
    CO_TRY(co_await sleep_for(std::chrono::seconds{2}));
    EXPECT_TRUE(CO_TRY(co_await talk(text)).text.starts_with("HTTP/1.1 404 "));
    co_return Result<void>{};
  });
}

TEST_F(HttpFiles, KeepsToTheCachesLimits) {
  FileService files{folder_, {.cache = {.bytes = 2'500, .file_bytes = 1'000, .files = 2}}};
  for (int i = 0; i < 10; ++i) folder_.entries["f" + std::to_string(i)] = {.content = digits};
  serve(files, [&]() -> Task<Result<void>> {
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 10; ++i) {
        const Seen seen = CO_TRY(co_await talk("GET /f" + std::to_string(i) + " HTTP/1.0\r\n\r\n"));
        EXPECT_EQ(content(seen.text), digits);
      }
    }
    co_return Result<void>{};
  });
}

}  // namespace
}  // namespace lichen::net::http
