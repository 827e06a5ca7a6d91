#include "lichen/base/log.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace lichen::base {
namespace {

std::vector<std::pair<log::Level, std::string>> lines;

void keep(log::Level level, std::string_view line) noexcept { lines.emplace_back(level, line); }

class Log : public testing::Test {
 protected:
  void SetUp() override {
    lines.clear();
    log::set_sink(keep);
    log::set_level(log::Level::debug);
  }
  void TearDown() override {
    log::set_sink(nullptr);
    log::set_level(log::Level::info);
  }
};

TEST_F(Log, ALineReachesTheSink) {
  log::info("listening on {}:{}", "127.0.0.1", 8080);
  log::error("cannot open {}: {}", "site", Error::access_denied);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], (std::pair{log::Level::info, std::string{"listening on 127.0.0.1:8080"}}));
  EXPECT_EQ(lines[1].second, "cannot open site: access_denied");
  EXPECT_EQ(log::name(lines[1].first), "error");
}

TEST_F(Log, LinesBelowTheLevelAreDropped) {
  for (const auto level : {log::Level::debug, log::Level::info, log::Level::warning,
                           log::Level::error, log::Level::nothing}) {
    lines.clear();
    log::set_level(level);
    log::debug("d");
    log::info("i");
    log::warning("w");
    log::error("e");
    EXPECT_EQ(lines.size(), 4u - static_cast<unsigned>(level));
    for (const auto& [each, line] : lines) EXPECT_TRUE(log::is_on(each));
    EXPECT_EQ(log::is_on(log::Level::debug), level == log::Level::debug);
    EXPECT_FALSE(log::is_on(log::Level::nothing));
  }
}

TEST_F(Log, ALambdaIsCalledOnlyForALineThatIsWritten) {
  int calls = 0;
  const auto expensive = [&] {
    ++calls;
    return std::string{"costly"};
  };
  log::set_level(log::Level::info);
  log::debug("{}", expensive);
  EXPECT_EQ(calls, 0);
  log::info("{:>7} {}", expensive, 1);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(lines.at(0).second, " costly 1");
}

TEST_F(Log, ALineTooLongIsCutAndEndsInDots) {
  log::info("{}", std::string(log::max_line, 'a'));
  log::info("{}", std::string(log::max_line + 1, 'a'));
  EXPECT_EQ(lines.at(0).second, std::string(log::max_line, 'a'));
  EXPECT_EQ(lines.at(1).second, std::string(log::max_line - 3, 'a') + "...");
}

TEST_F(Log, WhatAPeerSentCannotForgeALine) {
  log::info("GET {}", std::string_view{"/\r\nerror: all is lost\x1b[2J\0", 26});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].second, "GET /??error: all is lost?[2J?");
}

TEST_F(Log, WithoutASinkNothingHappens) {
  log::set_sink(nullptr);
  log::error("nobody hears {}", "this");
  EXPECT_TRUE(lines.empty());
}

}  // namespace
}  // namespace lichen::base
