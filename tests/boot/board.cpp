// What a board has beside processors: a calendar, random bytes, a console on which somebody types.
#include <algorithm>
#include <array>
#include <atomic>

#include "lichen/base/format.hpp"
#include "lichen/base/span.hpp"
#include "lichen/hal/hal.hpp"

namespace {

using namespace lichen;

constexpr char control_c = 3;

// Written by the handler, read when `ended` is set.
struct Typed {
  std::array<char, 64> text{};
  std::size_t size = 0;
  hal::CoreId core = hal::no_core;
  std::atomic<bool> ended{false};
};

void take(void* context) noexcept {
  Typed& typed = *static_cast<Typed*>(context);
  std::array<char, 4> room;
  while (const std::size_t count = hal::read_console(room)) {
    for (const char one : std::span{room}.first(count)) {
      if (one == control_c)
        typed.ended.store(true);
      else if (typed.size < typed.text.size())
        typed.text[typed.size++] = one;
    }
  }
  typed.core = hal::this_core();
}

// On the last core, whose line it is.
void listen(Typed& typed, hal::CoreId core) {
  if (const auto attached = hal::attach_console(core, &take, &typed); !attached) {
    hal::write_console("the console takes nothing\n");
    return;
  }
  hal::write_console("ready\n");
  while (!typed.ended.load()) hal::wait(core, hal::no_deadline);
  hal::detach_console();
}

}  // namespace

int main() {
  const unsigned cores = hal::core_count_available();
  Typed typed;
  const auto started = hal::start_cores({.count = cores}, [&](hal::CoreId core) {
    if (core == cores - 1) listen(typed, core);
  });
  std::array<char, 128> room;
  const auto say = [](const base::Formatted& line) { hal::write_console(line.text); };
  say(base::format_to(room, "typed: {}, by core {} of {}\n",
                      std::string_view{typed.text.data(), typed.size}, typed.core + 1, cores));
  say(base::format_to(room, "date: {}\n", hal::wall_clock_ns() / 1'000'000'000));
  std::array<std::uint64_t, 12> random{};
  const auto drawn = hal::random_bytes(std::as_writable_bytes(std::span{random}));
  std::ranges::sort(random);
  const bool repeats = std::ranges::adjacent_find(random) != random.end();
  const std::string_view how = !drawn ? "none" : repeats ? "repeats itself" : "never the same";
  say(base::format_to(room, "random: {}\n", how));
  return started ? 44 : 1;
}
