#include "lichen/image/options.hpp"

#include <charconv>
#include <chrono>
#include <cstdint>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/io/program.hpp"

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::image {

namespace {

constexpr std::string_view shared_help =
    "Options of every Lichen program:\n"
    "  --cores N          run on N cores (0: all there are; default 1)\n"
    "  --no-preemption    a task runs until it waits for something\n"
    "  --poll US          a core without work looks for more for so long before it sleeps (default "
    "50)\n"
    "  --stack-size BYTES stack of a task that is preempted (default 256K); K, M, G may follow\n"
    "  --memory BYTES     limit of coroutine frames and runtime objects; K, M, G may follow\n"
    "  --log LEVEL        debug, info, warning, error or nothing (default info)\n";
constexpr std::string_view help_end =
    "  --help             this text\n"
    "Exit status: 0 ended well, 1 failed while running, 2 wrong arguments.\n";

constexpr std::size_t most_stack_size = 1 << 30;

enum Exit : std::uint8_t { ended_well = 0, failed = 1, wrong_arguments = 2 };

bool parse_number(std::string_view text, std::size_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

bool parse_size(std::string_view text, std::size_t& size) {
  unsigned shift = 0;
  if (!text.empty()) {
    constexpr std::string_view units = "KMG";
    if (const auto unit = units.find(text.back()); unit != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(unit) + 1);
      text.remove_suffix(1);
    }
  }
  if (!parse_number(text, size) || size > (SIZE_MAX >> shift)) return false;
  size <<= shift;
  return true;
}

bool parse_level(std::string_view text) {
  using base::log::Level;
  for (const Level level :
       {Level::debug, Level::info, Level::warning, Level::error, Level::nothing}) {
    if (text != (level == Level::nothing ? "nothing" : base::log::name(level))) continue;
    base::log::set_level(level);
    return true;
  }
  return false;
}

// What is wrong with the value of an option; empty: nothing.
std::string_view take_value(ProgramOptions& options, std::string_view option,
                            std::string_view value) {
  std::size_t number = 0;
  if (option == "--cores") {
    if (!parse_number(value, number) || number > sched::Machine::max_cores)
      return "a number from 0 to 64 is wanted";
    options.run.cores = static_cast<unsigned>(number);
  } else if (option == "--stack-size") {
    if (!parse_size(value, options.run.stack_size) ||
        options.run.stack_size < sched::MachineOptions::least_stack_size ||
        options.run.stack_size > most_stack_size)
      return "a size such as 512K is wanted, from 16K to 1G";
  } else if (option == "--poll") {
    if (!parse_number(value, number) || number > 1'000'000)
      return "a number of microseconds up to 1000000 is wanted";
    options.run.poll = std::chrono::microseconds{number};
  } else if (option == "--memory") {
    constexpr std::size_t least = 64 * 1024;  // less is a number of MiB, say
    if (!parse_size(value, options.run.memory_limit) || options.run.memory_limit < least)
      return "a size such as 64M is wanted, at least 64K";
  } else if (option == "--net") {
    if (value.empty()) return "a value is missing";
    options.net.push_back(value);
  } else if (option == "--disk") {
    if (value.empty() || value == ":ro") return "FILE or FILE:ro is wanted";
    options.disks.push_back(value);
  } else if (!parse_level(value)) {
    return "debug, info, warning, error or nothing is wanted";
  }
  return {};
}

}  // namespace

Result<ProgramOptions> parse_options(std::span<char* const> words) {
  ProgramOptions options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "--help") {
      options.help = true;
      return options;
    } else if (word == "--no-preemption") {
      options.run.preemption = false;
    } else if (word == "--realtime") {
      options.run.realtime = true;
    } else if (word == "--cores" || word == "--stack-size" || word == "--memory" ||
               word == "--poll" || word == "--log" || word == "--net" || word == "--disk") {
      const std::string_view wrong = i + 1 == words.size()
                                         ? std::string_view{"a value is missing"}
                                         : take_value(options, word, words[i + 1]);
      if (!wrong.empty()) {
        refuse_option(word, wrong);
        return Error::invalid_argument;
      }
      ++i;
    } else {
      options.rest.push_back(word);
    }
  }
  if (options.run.realtime && !options.run.preemption) {
    refuse_option("--realtime", "without preemption nothing is in time");
    return Error::invalid_argument;
  }
  return options;
}

void write_help(void (*write)(std::string_view) noexcept, std::string_view world) noexcept {
  for (const std::string_view part :
       {program_help, std::string_view{"\n"}, shared_help, world, help_end})
    write(part);
}

int refuse_option(std::string_view option, std::string_view why) noexcept {
  hal::write_console(format<256>("{}: {} (--help shows the options)\n", option, why));
  return wrong_arguments;
}

int exit_status(const Result<void>& outcome) noexcept {
  if (outcome || outcome.failed_with(Error::stopped)) return ended_well;
  if (outcome.failed_with(Error::invalid_argument)) return wrong_arguments;
  base::log::error("ended: {}", outcome.error());
  return failed;
}

}  // namespace lichen::image

#pragma clang attribute pop
