// main() of an image that runs tests: one line for each, and a line that counts them. Words that
// begin with '-' name tests to leave out, others tests to run; both by the beginning of
// SUITE.NAME.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "lichen/base/format.hpp"
#include "lichen/hal/hal.hpp"

namespace testing {

namespace {

constinit Verdict verdict = Verdict::passed;

}  // namespace

bool Test::HasFailure() { return verdict == Verdict::failed; }

namespace internal {

std::vector<Registered>& tests() {
  static std::vector<Registered> all;
  return all;
}

void say(std::string_view text) { lichen::hal::write_console(text); }

std::string decimal(unsigned long long value, bool negative) {
  std::string text;
  do {
    text.push_back(static_cast<char>('0' + value % 10));
  } while ((value /= 10) != 0);
  if (negative) text.push_back('-');
  std::ranges::reverse(text);
  return text;
}

void report(const char* file, int line, std::string_view what, std::string_view message,
            Verdict given) {
  verdict = std::max(verdict, given);
  say(std::string{file} + ":" + print(line) + ": " + std::string{what} +
      (message.empty() ? "" : ": ") + std::string{message} + "\n");
}

// Stands in the list for the suite's parameters: its tests may be registered before or after.
void instantiate_suite(const char* suite, std::size_t count, void (*prepare)(std::size_t)) {
  tests().push_back({suite, nullptr, nullptr, prepare, count, true});
}

}  // namespace internal

}  // namespace testing

namespace {

using testing::Verdict;
using testing::internal::print;
using testing::internal::Registered;
using testing::internal::say;

struct Counts {
  unsigned passed = 0;
  unsigned failed = 0;
  unsigned skipped = 0;
};

bool is_wanted(std::string_view name, std::span<char*> words) {
  bool wanted = true;
  bool any = false;
  bool named = false;
  for (const std::string_view word : words) {
    if (word.starts_with('-')) {
      if (name.starts_with(word.substr(1))) wanted = false;
    } else {
      any = true;
      named |= name.starts_with(word);
    }
  }
  return wanted && (named || !any);
}

void run(const Registered& registered, const std::string& name, Counts& counts) {
  testing::verdict = Verdict::passed;
  say("[run] " + name + "\n");
  const std::uint64_t began = lichen::hal::now_ns();
  {
    const std::unique_ptr<testing::Test> test = registered.make();
    test->SetUp();
    test->TestBody();
    test->TearDown();
  }
  const std::uint64_t ms = (lichen::hal::now_ns() - began) / 1'000'000;
  switch (testing::verdict) {
    case Verdict::passed: ++counts.passed; break;
    case Verdict::skipped: ++counts.skipped; break;
    case Verdict::failed: ++counts.failed; break;
  }
  constexpr std::string_view words[] = {"ok", "skipped", "FAILED"};
  say("[" + std::string{words[static_cast<int>(testing::verdict)]} + "] " + name + " " + print(ms) +
      " ms\n");
}

}  // namespace

int main(int count, char** words) {
  const std::span<char*> named{words + 1, static_cast<std::size_t>(count - 1)};
  Counts counts;
  auto& tests = testing::internal::tests();
  for (const Registered& test : tests) {
    if (!test.make) continue;
    const std::string name = std::string{test.suite} + "." + test.name;
    if (!is_wanted(name, named)) continue;
    if (!test.takes_parameter) {
      run(test, name, counts);
      continue;
    }
    for (const Registered& instance : tests) {
      if (instance.make || std::string_view{instance.suite} != test.suite) continue;
      for (std::size_t i = 0; i < instance.index; ++i) {
        instance.prepare(i);
        run(test, name + "/" + print(i), counts);
      }
    }
  }
  say("[boot] " + print(counts.passed) + " passed, " + print(counts.failed) + " failed, " +
      print(counts.skipped) + " skipped\n");
  return counts.failed == 0 && counts.passed > 0 ? 0 : 1;
}
