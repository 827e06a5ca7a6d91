#include "lichen/net/http/target.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace lichen::net::http {
namespace {

std::string path(std::string_view target) {
  std::array<char, 200> into;
  const auto decoded = decode_path(target, into);
  if (!decoded) return std::string{name(decoded.error())};
  return std::string{decoded->relative} + (decoded->is_folder ? "|folder" : "|");
}

TEST(HttpPath, Decodes_and_normalises) {
  EXPECT_EQ(path("/"), "|folder");
  EXPECT_EQ(path("/a"), "a|");
  EXPECT_EQ(path("/a/b.c"), "a/b.c|");
  EXPECT_EQ(path("/a/"), "a|folder");
  EXPECT_EQ(path("//a///b//"), "a/b|folder");
  EXPECT_EQ(path("/./a/./b"), "a/b|");
  EXPECT_EQ(path("/a/."), "a|folder");
  EXPECT_EQ(path("/a/../b"), "b|");
  EXPECT_EQ(path("/a/b/../../c"), "c|");
  EXPECT_EQ(path("/a/b/.."), "a|folder");
  EXPECT_EQ(path("/a/.."), "|folder");
  EXPECT_EQ(path("/%41%20b%C3%a4"), "A b\xc3\xa4|");
  EXPECT_EQ(path("/a%2e%2E/..b/...c/..."), "a../..b/...c/...|");
  EXPECT_EQ(path("/a+b"), "a+b|");
}

TEST(HttpPath, Never_leaves_the_root) {
  for (const std::string_view target : {"/..", "/../a", "/a/../../b", "/%2e%2e/a", "/.%2E",
                                        "/a/b/../../../c", "/./..", "//..", "/a//../.."})
    EXPECT_EQ(path(target), "path_escapes") << target;
}

TEST(HttpPath, Refuses_what_could_mean_something_else) {
  for (const std::string_view target :
       {"", "a", "*", "/a%2fb", "/a%2Fb", "/..%2f..%2fetc", "/%00", "/a%00.html", "/a\\b", "/..\\a",
        "/%5c", "/%", "/%4", "/%zz", "/%4g", "/%7f", "/%0a", "/a\x01"})
    EXPECT_EQ(path(target), "invalid_argument") << target;
}

TEST(HttpQuery, Takes_pairs_apart) {
  std::string_view query = "a=1&&b&=c&d=e=f&";
  const auto expect = [&](std::string_view name, std::string_view value) {
    const auto pair = next_pair(query);
    ASSERT_TRUE(pair);
    EXPECT_EQ(pair->name, name);
    EXPECT_EQ(pair->value, value);
  };
  expect("a", "1");
  expect("b", "");
  expect("", "c");
  expect("d", "e=f");
  EXPECT_FALSE(next_pair(query));
}

TEST(HttpQuery, Finds_and_decodes) {
  std::array<char, 8> into;
  EXPECT_EQ(find_in_query("x=1&my+name=a+b%21&y", "my name", into).value(), "a b!");
  EXPECT_EQ(find_in_query("m%79=2", "my", into).value(), "2");
  EXPECT_EQ(find_in_query("y", "y", into).value(), "");
  EXPECT_EQ(find_in_query("ya=1", "y", into).error(), Error::not_found);
  EXPECT_EQ(find_in_query("y=%2", "y", into).error(), Error::invalid_argument);
  EXPECT_EQ(find_in_query("y=123456789", "y", into).error(), Error::buffer_too_small);
}

}  // namespace
}  // namespace lichen::net::http
