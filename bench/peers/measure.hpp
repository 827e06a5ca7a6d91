// The command line and the timing that the C++ peers share.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace bench::peers {

class Args {
 public:
  Args(int count, char** words) : words_{words, words + count} {}

  std::string_view name() const {
    return words_.size() > 1 ? std::string_view{words_[1]} : std::string_view{};
  }
  long number(std::string_view key, long otherwise) const {
    for (size_t i = 2; i + 1 < words_.size(); i += 2)
      if (words_[i] == key) return std::strtol(words_[i + 1].c_str(), nullptr, 10);
    return otherwise;
  }

 private:
  std::vector<std::string> words_;
};

// Median of repeated timings of work() in ns per operation. The first run does not count.
template <class Work>
double ns_per_op(long repeat, long operations, Work&& work) {
  using clock = std::chrono::steady_clock;
  work();
  std::vector<double> times;
  for (long i = 0; i < repeat; ++i) {
    auto start = clock::now();
    work();
    std::chrono::duration<double, std::nano> time = clock::now() - start;
    times.push_back(time.count() / static_cast<double>(operations));
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

inline void print(const char* name, const std::string& variant, double ns) {
  std::printf("{\"name\":\"%s\",\"variant\":\"%s\",\"ns_per_op\":%.3f}\n", name, variant.c_str(),
              ns);
}

}  // namespace bench::peers
