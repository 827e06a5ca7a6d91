// What a fuzz target says about its findings: a broken invariant ends the run with its input kept.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#define CHECK(...)                                                                   \
  do {                                                                               \
    if (!(__VA_ARGS__)) {                                                            \
      std::fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)

// A copy in memory of exactly its size, so that the sanitizer sees every step past the end.
class Exact {
 public:
  explicit Exact(std::string_view text) : copy_{new char[text.size()]}, size_{text.size()} {
    text.copy(copy_.get(), text.size());
  }
  [[nodiscard]] std::string_view view() const { return {copy_.get(), size_}; }

 private:
  std::unique_ptr<char[]> copy_;
  std::size_t size_;
};
