// What the tests of file systems share: a loop in virtual time, and after each test nothing may be
// left.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/span.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/fs/test_machine.hpp"
#include "lichen/fs/tmpfs.hpp"
#include "lichen/fs/vfs.hpp"

namespace lichen::fs::test {

using io::FileType;
using io::OpenMode;

class FsTest : public testing::Test {
 public:
  // After what a test is made of.
  ~FsTest() override {
    EXPECT_EQ(coro::test::frames_alive, 0U);
    coro::test::frames_until_failure = ~std::size_t{0};
  }

 protected:
  template <class T>
  Result<typename Task<T>::Value> run(Task<T> task) {
    auto outcome = loop_.run(std::move(task));
    if (outcome) return *std::move(outcome);
    ADD_FAILURE() << "it never ends";
    return Error::internal;
  }
  // Runs what must not fail.
  template <class T>
  auto must(Task<T> task) {
    auto result = run(std::move(task));
    EXPECT_TRUE(result) << name(result.error());
    if constexpr (!std::is_same_v<decltype(result), Result<void>>) return *std::move(result);
  }
  template <class T>
  Error error_of(Task<T> task) {
    return run(std::move(task)).error();
  }

  void write(io::Folder& folder, std::string_view path, std::string_view text) {
    const auto file = must(folder.open(path, OpenMode::replace));
    must(file->write_at(0, base::as_bytes(text)));
  }
  static Task<Result<std::string>> read_all(io::File& file) {
    std::string text(CO_TRY(co_await file.info()).size + 1, '\0');
    text.resize(CO_TRY(co_await file.read_at(0, std::as_writable_bytes(std::span{text}))));
    co_return text;
  }
  // What there is, or the name of the error.
  std::string read(io::Folder& folder, std::string_view path) {
    const auto file = run(folder.open(path, OpenMode::read));
    if (!file) return std::string{name(file.error())};
    return must(read_all(**file));
  }
  // The names in a folder, in its order: "a b/ c@".
  std::string names(io::Folder& folder) {
    std::string all;
    for (const io::FolderEntry& entry : must(folder.list())) {
      if (!all.empty()) all += ' ';
      all += entry.name;
      if (entry.type == FileType::folder) all += '/';
      if (entry.type == FileType::link) all += '@';
    }
    return all;
  }

  coro::test::TestLoop loop_;
  FakeMachine machine_;
};

}  // namespace lichen::fs::test
