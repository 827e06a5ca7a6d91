// From a date to a count of seconds. Private to hal.
#pragma once

#include <cstdint>

namespace lichen::hal::detail {

struct Date {
  unsigned year = 1970;
  unsigned month = 1;  // January is 1
  unsigned day = 1;
  unsigned hour = 0;
  unsigned minute = 0;
  unsigned second = 0;
};

// Since 1970-01-01 00:00 UTC, by the Gregorian calendar, from 1970 on. Counts years from March, so
// that the day that some have comes last.
constexpr std::int64_t seconds_since_1970(const Date& date) noexcept {
  const bool after_february = date.month > 2;
  const std::int64_t years = date.year - (after_february ? 0 : 1);
  const std::int64_t months = date.month + (after_february ? 0 : 12) - 3;
  const std::int64_t days = 365 * years + years / 4 - years / 100 + years / 400 +
                            (153 * months + 2) / 5 + date.day - 719'469;
  return ((days * 24 + date.hour) * 60 + date.minute) * 60 + date.second;
}

static_assert(seconds_since_1970({}) == 0);
static_assert(seconds_since_1970({.year = 1970, .month = 12, .day = 31, .hour = 23}) ==
              364 * 86'400 + 23 * 3'600);
static_assert(seconds_since_1970({.year = 2000, .month = 2, .day = 29}) == 951'782'400);
static_assert(seconds_since_1970({.year = 2000, .month = 3, .day = 1}) == 951'868'800);
static_assert(seconds_since_1970({2038, 1, 19, 3, 14, 8}) == std::int64_t{1} << 31);

}  // namespace lichen::hal::detail
