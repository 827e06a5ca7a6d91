#include "lichen/base/overloaded.hpp"

#include <gtest/gtest.h>

#include <string>
#include <variant>

namespace lichen::base {
namespace {

TEST(Overloaded, TheArgumentPicksTheFunction) {
  const overloaded kind{[](int) { return 1; }, [](const std::string&) { return 2; },
                        [](auto) { return 3; }};
  using Value = std::variant<int, std::string, char>;
  EXPECT_EQ(std::visit(kind, Value{5}), 1);
  EXPECT_EQ(std::visit(kind, Value{"text"}), 2);
  EXPECT_EQ(std::visit(kind, Value{'c'}), 3);
}

}  // namespace
}  // namespace lichen::base
