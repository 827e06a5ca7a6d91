// Compiled with the floor at warning: what is below must not be there, whatever the run-time level.
#define LICHEN_LOG_FLOOR 2
#include <gtest/gtest.h>

#include "lichen/base/log.hpp"

namespace lichen::base {
namespace {

int lines = 0;

TEST(LogFloor, NothingBelowItIsWritten) {
  log::set_sink([](log::Level, std::string_view) noexcept { ++lines; });
  log::set_level(log::Level::debug);
  bool called = false;
  log::debug("{}", [&] { return called = true; });
  log::info("{}", [&] { return called = true; });
  EXPECT_FALSE(log::is_on(log::Level::info));
  EXPECT_EQ(lines, 0);
  EXPECT_FALSE(called);
  log::warning("w");
  log::error("e");
  EXPECT_EQ(lines, 2);
}

}  // namespace
}  // namespace lichen::base
