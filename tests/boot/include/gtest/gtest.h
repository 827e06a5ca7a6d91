// The part of GoogleTest's interface that the unit tests of the kernel use, for machines without a
// C library. Our own code; found before GoogleTest in images of tests/boot. Tests of death are
// skipped and say so: there is no process that could die for them.
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace testing {

inline const char* FLAGS_gtest_death_test_style = "";

// What a test has said of itself so far.
enum class Verdict : unsigned char { passed, skipped, failed };

class Test {
 public:
  virtual ~Test() = default;
  virtual void SetUp() {}
  virtual void TearDown() {}
  virtual void TestBody() = 0;
  static bool HasFailure();
};

namespace internal {

struct Registered {
  const char* suite;
  const char* name;
  std::unique_ptr<Test> (*make)();
  void (*prepare)(std::size_t index) = nullptr;  // chooses the parameter
  std::size_t index = 0;
  bool takes_parameter = false;
};
std::vector<Registered>& tests();
void say(std::string_view text);
void report(const char* file, int line, std::string_view what, std::string_view message,
            Verdict verdict);
struct Registrar {
  explicit Registrar(const Registered& test) { tests().push_back(test); }
};

std::string decimal(unsigned long long value, bool negative);

template <class T>
std::string print(const T& value) {
  using Bare = std::remove_cvref_t<T>;
  if constexpr (std::same_as<Bare, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return std::string{std::string_view{value}};
  } else if constexpr (std::is_enum_v<Bare>) {
    return print(static_cast<std::underlying_type_t<Bare>>(value));
  } else if constexpr (std::integral<Bare>) {
    return value < Bare{} ? decimal(0 - static_cast<unsigned long long>(value), true)
                          : decimal(static_cast<unsigned long long>(value), false);
  } else if constexpr (std::floating_point<Bare>) {
    return print(static_cast<long long>(value)) + " and a part";
  } else {
    return "(a value)";
  }
}

}  // namespace internal

class Message {
 public:
  template <class T>
  Message& operator<<(const T& value) {
    text_ += internal::print(value);
    return *this;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

namespace internal {

struct Outcome {
  std::string failure;
  bool ok = true;
  explicit operator bool() const { return ok; }
};

struct Reporter {
  const char* file;
  int line;
  std::string what;
  Verdict verdict = Verdict::failed;
  void operator=(const Message& message) const {
    report(file, line, what, message.text(), verdict);
  }
};

template <class A, class B>
std::string describe(const char* a_text, const char* b_text, const char* relation, const A& a,
                     const B& b) {
  return std::string{a_text} + " " + relation + " " + b_text + ": " + print(a) + " and " + print(b);
}

#define LICHEN_TEST_RELATION(function, relation)                                     \
  template <class A, class B>                                                        \
  Outcome function(const char* a_text, const char* b_text, const A& a, const B& b) { \
    if (a relation b) return {};                                                     \
    return {describe(a_text, b_text, #relation, a, b), false};                       \
  }
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wsign-compare"
LICHEN_TEST_RELATION(equal, ==)
LICHEN_TEST_RELATION(not_equal, !=)
LICHEN_TEST_RELATION(less, <)
LICHEN_TEST_RELATION(less_equal, <=)
LICHEN_TEST_RELATION(greater, >)
LICHEN_TEST_RELATION(greater_equal, >=)
#pragma clang diagnostic pop
#undef LICHEN_TEST_RELATION

template <class T>
Outcome is(const char* text, const T& value, bool wanted) {
  if (static_cast<bool>(value) == wanted) return {};
  return {std::string{text} + " is " + (wanted ? "false" : "true"), false};
}
inline Outcome near(const char* a_text, const char* b_text, double a, double b, double by) {
  if (std::fabs(a - b) <= by) return {};
  return {describe(a_text, b_text, "near", a, b), false};
}
inline Outcome same_text(const char* a_text, const char* b_text, const char* a, const char* b) {
  if (std::strcmp(a, b) == 0) return {};
  return {describe(a_text, b_text, "==", a, b), false};
}
template <class T, class Matcher>
Outcome that(const char* text, const T& value, const Matcher& matcher) {
  if (matcher(value)) return {};
  return {std::string{text} + ": " + print(value), false};
}

}  // namespace internal

template <class T>
class WithParamInterface {
 public:
  static const T& GetParam() { return *parameter; }
  inline static const T* parameter = nullptr;
};
template <class T>
class TestWithParam : public Test, public WithParamInterface<T> {
 public:
  using ParamType = T;
};

template <class... T>
std::tuple<T...> Values(T... values) {
  return {values...};
}

namespace internal {

void instantiate_suite(const char* suite, std::size_t count, void (*prepare)(std::size_t));

// The parameters of a suite; tests that take one are registered once for each of them.
template <class Fixture>
struct Parameters {
  using Type = std::remove_cvref_t<decltype(Fixture::GetParam())>;
  inline static std::vector<Type> values;
  static void choose(std::size_t index) { WithParamInterface<Type>::parameter = &values[index]; }
  template <class... T>
  static bool add(const char* suite, const std::tuple<T...>& given) {
    std::apply([](const auto&... value) { (values.push_back(Type(value)), ...); }, given);
    instantiate_suite(suite, values.size(), &choose);
    return true;
  }
};

}  // namespace internal

}  // namespace testing

#define LICHEN_TEST_CLASS(suite, name) suite##_##name##_Test
#define LICHEN_TEST(suite, name, base, with_parameter)                               \
  class LICHEN_TEST_CLASS(suite, name) : public base {                               \
   public:                                                                           \
    void TestBody() override;                                                        \
    static std::unique_ptr<::testing::Test> lichen_make_test() {                     \
      return std::make_unique<LICHEN_TEST_CLASS(suite, name)>();                     \
    }                                                                                \
  };                                                                                 \
  static const ::testing::internal::Registrar suite##_##name##_registrar{            \
      {#suite, #name, &LICHEN_TEST_CLASS(suite, name)::lichen_make_test, nullptr, 0, \
       with_parameter}};                                                             \
  void LICHEN_TEST_CLASS(suite, name)::TestBody()

#define TEST(suite, name) LICHEN_TEST(suite, name, ::testing::Test, false)
#define TEST_F(suite, name) LICHEN_TEST(suite, name, suite, false)
#define TEST_P(suite, name) LICHEN_TEST(suite, name, suite, true)
#define INSTANTIATE_TEST_SUITE_P(prefix, suite, ...)                 \
  [[maybe_unused]] static const bool prefix##_##suite##_parameters = \
      ::testing::internal::Parameters<suite>::add(#suite, __VA_ARGS__)

#define LICHEN_CHECK(outcome, fail)                                                    \
  switch (0)                                                                           \
  case 0:                                                                              \
  default:                                                                             \
    if (const ::testing::internal::Outcome lichen_outcome = (outcome); lichen_outcome) \
      ;                                                                                \
    else                                                                               \
      fail ::testing::internal::Reporter{__FILE__, __LINE__, lichen_outcome.failure} = \
          ::testing::Message {}

#define LICHEN_CHECK_2(function, a, b, fail) \
  LICHEN_CHECK(::testing::internal::function(#a, #b, a, b), fail)

#define EXPECT_EQ(a, b) LICHEN_CHECK_2(equal, a, b, )
#define EXPECT_NE(a, b) LICHEN_CHECK_2(not_equal, a, b, )
#define EXPECT_LT(a, b) LICHEN_CHECK_2(less, a, b, )
#define EXPECT_LE(a, b) LICHEN_CHECK_2(less_equal, a, b, )
#define EXPECT_GT(a, b) LICHEN_CHECK_2(greater, a, b, )
#define EXPECT_GE(a, b) LICHEN_CHECK_2(greater_equal, a, b, )
#define ASSERT_EQ(a, b) LICHEN_CHECK_2(equal, a, b, return)
#define ASSERT_NE(a, b) LICHEN_CHECK_2(not_equal, a, b, return)
#define ASSERT_LT(a, b) LICHEN_CHECK_2(less, a, b, return)
#define ASSERT_LE(a, b) LICHEN_CHECK_2(less_equal, a, b, return)
#define ASSERT_GT(a, b) LICHEN_CHECK_2(greater, a, b, return)
#define ASSERT_GE(a, b) LICHEN_CHECK_2(greater_equal, a, b, return)
#define EXPECT_TRUE(...) LICHEN_CHECK(::testing::internal::is(#__VA_ARGS__, (__VA_ARGS__), true), )
#define EXPECT_FALSE(...) \
  LICHEN_CHECK(::testing::internal::is(#__VA_ARGS__, (__VA_ARGS__), false), )
#define ASSERT_TRUE(...) \
  LICHEN_CHECK(::testing::internal::is(#__VA_ARGS__, (__VA_ARGS__), true), return)
#define ASSERT_FALSE(...) \
  LICHEN_CHECK(::testing::internal::is(#__VA_ARGS__, (__VA_ARGS__), false), return)
#define EXPECT_NEAR(a, b, by) LICHEN_CHECK(::testing::internal::near(#a, #b, a, b, by), )
#define EXPECT_STREQ(a, b) LICHEN_CHECK_2(same_text, a, b, )
#define EXPECT_THAT(value, ...) \
  LICHEN_CHECK(::testing::internal::that(#value, value, __VA_ARGS__), )
#define ADD_FAILURE() \
  ::testing::internal::Reporter{__FILE__, __LINE__, "a failure"} = ::testing::Message {}
#define FAIL() return ADD_FAILURE()
#define SUCCEED() static_cast<void>(0)
#define SCOPED_TRACE(what) static_cast<void>(what)
#define EXPECT_DEATH(statement, matcher)                                     \
  if (false)                                                                 \
    statement;                                                               \
  else                                                                       \
    ::testing::internal::Reporter{__FILE__, __LINE__, "a death is expected", \
                                  ::testing::Verdict::skipped} = ::testing::Message {}
#define GTEST_SKIP()                                                          \
  return ::testing::internal::Reporter{__FILE__, __LINE__, "it skips itself", \
                                       ::testing::Verdict::skipped} = ::testing::Message {}
#define GTEST_FLAG_SET(name, value) static_cast<void>(value)
