// The part of GoogleMock's interface that the unit tests of the kernel use; see gtest/gtest.h.
#pragma once

#include <string>
#include <string_view>

namespace testing {

inline auto HasSubstr(std::string_view part) {
  return [wanted = std::string{part}](std::string_view text) {
    return text.find(wanted) != std::string_view::npos;
  };
}

}  // namespace testing
