#include "lichen/base/defer.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "lichen/base/result.hpp"

namespace lichen::base {
namespace {

TEST(Defer, RunsAtTheEndLastFirst) {
  std::string order;
  {
    Defer first{[&] { order += 'a'; }};
    Defer second{[&] { order += 'b'; }};
    EXPECT_EQ(order, "");
  }
  EXPECT_EQ(order, "ba");
}

TEST(Defer, RunsNotWhenDismissed) {
  bool ran = false;
  {
    Defer work{[&] { ran = true; }};
    work.dismiss();
  }
  EXPECT_FALSE(ran);
}

TEST(Defer, RunsWhenTryLeavesTheFunction) {
  int cleaned = 0;
  const auto work = [&]() -> Result<> {
    Defer clean{[&] { ++cleaned; }};
    TRY(Result<>{Error::busy});
    clean.dismiss();
    return {};
  };
  EXPECT_EQ(work().error(), Error::busy);
  EXPECT_EQ(cleaned, 1);
}

TEST(Defer, MayOwnWhatItNeeds) {
  int seen = 0;
  {
    Defer work{[&seen, owned = std::make_unique<int>(7)] { seen = *owned; }};
  }
  EXPECT_EQ(seen, 7);
}

}  // namespace
}  // namespace lichen::base
