#include "lichen/base/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace lichen::base {
namespace {

TEST(Error, EveryErrorHasItsOwnNameAndSentence) {
  std::set<std::string_view> names, sentences;
  for (int value = 1; value <= error_count; ++value) {
    const auto error = static_cast<Error>(value);
    EXPECT_NE(name(error), "unknown") << value;
    EXPECT_TRUE(names.insert(name(error)).second) << name(error);
    EXPECT_TRUE(sentences.insert(describe(error)).second) << describe(error);
  }
}

TEST(Error, NamesAreSpelledAsTheEnumerator) {
  EXPECT_EQ(name(Error::no_memory), "no_memory");
  EXPECT_EQ(name(Error::internal), "internal");
  for (int value = 1; value <= error_count; ++value) {
    EXPECT_TRUE(std::ranges::all_of(name(static_cast<Error>(value)), [](char c) {
      return c == '_' || (c >= 'a' && c <= 'z');
    })) << value;
  }
}

TEST(Error, ANumberOutsideTheListIsSaidToBeUnknown) {
  EXPECT_EQ(name(Error{}), "unknown");
  EXPECT_EQ(name(static_cast<Error>(error_count + 1)), "unknown");
  EXPECT_EQ(describe(static_cast<Error>(255)), "no known error");
}

}  // namespace
}  // namespace lichen::base
