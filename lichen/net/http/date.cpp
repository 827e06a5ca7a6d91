#include "lichen/net/http/date.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/net/http/text.hpp"

namespace lichen::net::http {
namespace {

constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::string_view day_names = "ThuFriSatSunMonTueWed";  // from 1970-01-01 on
constexpr std::array<std::string_view, 7> long_day_names{
    "Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"};
constexpr std::int64_t seconds_a_day = 86'400;

struct Civil {
  std::int64_t year;
  unsigned month;  // 1 to 12
  unsigned day;    // 1 to 31
};

// Days since 1970-01-01 and back, by counting years from March in eras of 400 years, which are
// alike.
constexpr std::int64_t days_from(Civil date) noexcept {
  const std::int64_t year = date.year - (date.month <= 2);
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned month_from_march = (date.month + 9) % 12;
  const unsigned day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}
constexpr Civil civil_from(std::int64_t days) noexcept {
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146'097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned month_from_march = (5 * day_of_year + 2) / 153;
  const unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {year_of_era + era * 400 + (month <= 2), month,
          day_of_year - (153 * month_from_march + 2) / 5 + 1};
}
static_assert(days_from({1970, 1, 1}) == 0 && days_from({2000, 2, 29}) == 11'016);

constexpr unsigned days_in(std::int64_t year, unsigned month) noexcept {
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 ? 28 + leap : 30 + ((month + month / 8) & 1);
}

void put_digits(char* place, unsigned value, unsigned digits) noexcept {
  while (digits-- > 0) {
    place[digits] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

// Reads a date from left to right; once something does not match, it stays failed.
class DateReader {
 public:
  explicit DateReader(std::string_view text) noexcept : text_{text} {}

  void literal(std::string_view expected) noexcept {
    ok_ &= text_.starts_with(expected);
    if (ok_) text_.remove_prefix(expected.size());
  }
  unsigned number(std::size_t digits) noexcept {
    ok_ &= text_.size() >= digits && all(digit_char, text_.substr(0, digits));
    unsigned value = 0;
    for (std::size_t i = 0; ok_ && i < digits; ++i)
      value = value * 10 + static_cast<unsigned>(text_[i] - '0');
    if (ok_) text_.remove_prefix(digits);
    return value;
  }
  // " 6" or "16".
  unsigned day_of_asctime() noexcept {
    if (!text_.starts_with(' ')) return number(2);
    literal(" ");
    return number(1);
  }
  unsigned month() noexcept {
    const std::size_t at =
        text_.size() >= 3 ? month_names.find(text_.substr(0, 3)) : month_names.npos;
    ok_ &= at != month_names.npos && at % 3 == 0;
    if (!ok_) return 1;
    text_.remove_prefix(3);
    return static_cast<unsigned>(at / 3) + 1;
  }
  // "Sun" and the like; which day it is does not matter, the date tells.
  void day_name() noexcept {
    const std::size_t at = text_.size() >= 3 ? day_names.find(text_.substr(0, 3)) : day_names.npos;
    ok_ &= at != day_names.npos && at % 3 == 0;
    if (ok_) text_.remove_prefix(3);
  }
  bool long_day_name() noexcept {
    for (const std::string_view name : long_day_names) {
      if (!text_.starts_with(name)) continue;
      text_.remove_prefix(name.size());
      return true;
    }
    return false;
  }
  // Seconds of the day.
  std::int64_t time() noexcept {
    const unsigned hour = number(2);
    literal(":");
    const unsigned minute = number(2);
    literal(":");
    const unsigned second = number(2);
    ok_ &= hour < 24 && minute < 60 && second <= 60;  // a leap second may be told
    return hour * 3'600 + minute * 60 + second;
  }
  [[nodiscard]] std::optional<std::int64_t> moment(Civil date, std::int64_t time) const noexcept {
    if (!ok_ || !text_.empty() || date.day < 1 || date.day > days_in(date.year, date.month))
      return std::nullopt;
    return days_from(date) * seconds_a_day + time;
  }

 private:
  std::string_view text_;
  bool ok_ = true;
};

std::int64_t full_year(unsigned two_digits, std::int64_t now) noexcept {
  const std::int64_t this_year = civil_from(now / seconds_a_day).year;
  std::int64_t year = this_year - this_year % 100 + two_digits;
  if (year > this_year + 50) year -= 100;
  return year;
}

}  // namespace

DateText::DateText(std::int64_t unix_seconds) noexcept {
  unix_seconds = std::clamp(unix_seconds, days_from({0, 1, 1}) * seconds_a_day,
                            days_from({10'000, 1, 1}) * seconds_a_day - 1);
  std::int64_t days = unix_seconds / seconds_a_day;
  if (unix_seconds % seconds_a_day < 0) --days;
  const auto second = static_cast<unsigned>(unix_seconds - days * seconds_a_day);
  const Civil date = civil_from(days);
  const auto week_day = static_cast<unsigned>((days % 7 + 7) % 7);

  char* text = text_.data();
  std::memcpy(text, "Sun, 06 Nov 1994 08:49:37 GMT", size);
  std::memcpy(text, day_names.data() + week_day * 3, 3);
  put_digits(text + 5, date.day, 2);
  std::memcpy(text + 8, month_names.data() + (date.month - 1) * 3, 3);
  put_digits(text + 12, static_cast<unsigned>(date.year), 4);
  put_digits(text + 17, second / 3'600, 2);
  put_digits(text + 20, second / 60 % 60, 2);
  put_digits(text + 23, second % 60, 2);
}

std::optional<std::int64_t> parse_date(std::string_view text,
                                       std::int64_t now_unix_seconds) noexcept {
  DateReader reader{text};
  Civil date{};
  if (text.size() == DateText::size && text[3] == ',') {  // IMF-fixdate
    reader.day_name();
    reader.literal(", ");
    date.day = reader.number(2);
    reader.literal(" ");
    date.month = reader.month();
    reader.literal(" ");
    date.year = reader.number(4);
    reader.literal(" ");
    const std::int64_t time = reader.time();
    reader.literal(" GMT");
    return reader.moment(date, time);
  }
  if (reader.long_day_name()) {  // RFC 850: "Sunday, 06-Nov-94 08:49:37 GMT"
    reader.literal(", ");
    date.day = reader.number(2);
    reader.literal("-");
    date.month = reader.month();
    reader.literal("-");
    date.year = full_year(reader.number(2), now_unix_seconds);
    reader.literal(" ");
    const std::int64_t time = reader.time();
    reader.literal(" GMT");
    return reader.moment(date, time);
  }
  reader.day_name();  // asctime: "Sun Nov  6 08:49:37 1994"
  reader.literal(" ");
  date.month = reader.month();
  reader.literal(" ");
  date.day = reader.day_of_asctime();
  reader.literal(" ");
  const std::int64_t time = reader.time();
  reader.literal(" ");
  date.year = reader.number(4);
  return reader.moment(date, time);
}

}  // namespace lichen::net::http
