// main() of an app that runs as a Linux process: takes the options that all programs share, starts
// the machine, hands the app its world.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lichen/base/log.hpp"
#include "lichen/image/run.hpp"
#include "lichen/image/tap_network.hpp"
#include "lichen/io/program.hpp"

namespace {

using namespace lichen;

constexpr std::string_view shared_help =
    "Options of every Lichen program:\n"
    "  --cores N          run on N cores (0: all this process may use; default 1)\n"
    "  --no-preemption    a task runs until it waits for something\n"
    "  --stack-size BYTES stack of a task that is preempted (default 256K); K, M, G may follow\n"
    "  --memory BYTES     limit of coroutine frames and runtime objects; K, M, G may follow\n"
    "  --log LEVEL        debug, info, warning, error or nothing (default info)\n"
    "  --net NAME[=ADDRESS/BITS[,GATEWAY] | =dhcp]\n"
    "                     Lichen's own TCP/IP over the TAP device NAME (on one core), instead of "
    "the\n"
    "                     host's sockets; default address 10.9.0.2/24, or what DHCP and routers\n"
    "                     offer\n"
    "  --help             this text\n"
    "Exit status: 0 ended well, 1 failed while running, 2 wrong arguments.\n";

enum Exit : int { ended_well = 0, failed = 1, wrong_arguments = 2 };

int refuse(std::string_view option, std::string_view why) {
  std::fprintf(stderr, "%.*s: %.*s (--help shows the options)\n", static_cast<int>(option.size()),
               option.data(), static_cast<int>(why.size()), why.data());
  return wrong_arguments;
}

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

Result<void> run_program(std::span<const std::string_view> arguments,
                         const std::optional<image::TapWish>& tap, const RunOptions& options) {
  image::Host host = TRY(image::Host::create());
  return host.run(tap ? image::run_over_tap(host, *tap, arguments)
                      : program_main(Program{host.system(), arguments}),
                  options);
}

}  // namespace

int main(int count, char** words) {
  RunOptions options;
  std::vector<std::string_view> rest;
  std::optional<image::TapWish> tap;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--help") {
      std::printf("%.*s\n%.*s", static_cast<int>(program_help.size()), program_help.data(),
                  static_cast<int>(shared_help.size()), shared_help.data());
      return ended_well;
    }
    if (word == "--no-preemption") {
      options.preemption = false;
      continue;
    }
    const bool shared = word == "--cores" || word == "--stack-size" || word == "--memory" ||
                        word == "--log" || word == "--net";
    if (!shared) {
      rest.push_back(word);
      continue;
    }
    if (++i == count) return refuse(word, "a value is missing");
    const std::string_view value = words[i];
    std::size_t number = 0;
    if (word == "--cores") {
      if (!parse_number(value, number) || number > sched::Machine::max_cores)
        return refuse(word, "a number from 0 to 64 is wanted");
      options.cores = static_cast<unsigned>(number);
    } else if (word == "--stack-size") {
      constexpr std::size_t least = 16 * 1024;
      if (!parse_size(value, options.stack_size) || options.stack_size < least)
        return refuse(word, "a size such as 512K is wanted, at least 16K");
    } else if (word == "--memory") {
      if (!parse_size(value, options.memory_limit))
        return refuse(word, "a size such as 64M is wanted");
    } else if (word == "--net") {
      Result<image::TapWish> wish = image::TapWish::parse(value);
      if (!wish) return refuse(word, "NAME, NAME=ADDRESS/BITS[,GATEWAY] or NAME=dhcp is wanted");
      tap = *std::move(wish);
    } else if (!parse_level(value)) {
      return refuse(word, "debug, info, warning, error or nothing is wanted");
    }
  }
  if (tap && options.cores != 1) return refuse("--net", "it serves one core: leave out --cores");
  const Result<void> outcome = run_program(rest, tap, options);
  if (outcome || outcome.failed_with(Error::stopped)) return ended_well;
  if (outcome.failed_with(Error::invalid_argument)) return wrong_arguments;
  base::log::error("ended: {}", outcome.error());
  return failed;
}
