// The date of a PC: the clock beside the CMOS memory (Motorola MC146818A data sheet).
#include "lichen/hal/bare/calendar.hpp"

#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/x86_64/instructions.hpp"

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

namespace {

constexpr std::uint16_t index_port = 0x70;
constexpr std::uint16_t data_port = 0x71;

enum Register : std::uint8_t {
  seconds = 0,
  minutes = 2,
  hours = 4,
  day = 7,
  month = 8,
  year = 9,
  status_a = 0x0a,
  status_b = 0x0b,
};
constexpr std::uint8_t update_under_way = 0x80;
constexpr std::uint8_t counts_to_24 = 0x02;
constexpr std::uint8_t binary = 0x04;
constexpr std::uint8_t afternoon = 0x80;

struct Reading {
  std::uint8_t seconds, minutes, hours, day, month, year;
  bool operator==(const Reading&) const noexcept = default;
};

std::uint8_t read(std::uint8_t which) noexcept {
  out8(index_port, which);
  return in8(data_port);
}

Reading read_all() noexcept {
  return {read(seconds), read(minutes), read(hours), read(day), read(month), read(year)};
}

// An update takes 2 ms.
Result<Reading> read_between_updates() noexcept {
  constexpr std::uint64_t patience_ns = 20'000'000;
  const std::uint64_t until = now_ns() + patience_ns;
  do {
    if ((read(status_a) & update_under_way) != 0) continue;
    const Reading first = read_all();
    if ((read(status_a) & update_under_way) == 0 && first == read_all()) return first;
  } while (now_ns() < until);
  return Error::not_found;
}

}  // namespace

Result<std::int64_t> read_calendar_ns() noexcept {
  constexpr std::int64_t second_ns = 1'000'000'000;
  const Reading reading = TRY(read_between_updates());
  const std::uint8_t format = read(status_b);
  const auto number = [format](std::uint8_t value) -> unsigned {
    return (format & binary) != 0 ? value : value / 16 * 10U + value % 16;
  };
  unsigned hour = number(reading.hours & static_cast<std::uint8_t>(~afternoon));
  if ((format & counts_to_24) == 0) hour = hour % 12 + ((reading.hours & afternoon) != 0 ? 12 : 0);
  const Date date{.year = 2000 + number(reading.year),
                  .month = number(reading.month),
                  .day = number(reading.day),
                  .hour = hour,
                  .minute = number(reading.minutes),
                  .second = number(reading.seconds)};
  // Where there is no such clock all bits are the same.
  const bool possible = date.year < 2100 && date.month >= 1 && date.month <= 12 && date.day >= 1 &&
                        date.day <= 31 && date.hour < 24 && date.minute < 60 && date.second <= 60;
  if (!possible) return Error::not_found;
  return seconds_since_1970(date) * second_ns;
}

}  // namespace lichen::hal::detail

#pragma clang attribute pop
