// main() of an app that runs as a Linux process: takes the options that all programs share, starts
// the machine, hands the app its world.
#include <cstdio>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/image/options.hpp"
#include "lichen/image/run.hpp"
#include "lichen/image/tap_network.hpp"
#include "lichen/io/program.hpp"

namespace {

using namespace lichen;

constexpr std::string_view net_help =
    "  --net NAME[=ADDRESS/BITS[,GATEWAY] | =dhcp]\n"
    "                     Lichen's own TCP/IP over the TAP device NAME, instead of the\n"
    "                     host's sockets; default address 10.9.0.2/24, or what DHCP and routers\n"
    "                     offer\n";

void print(std::string_view text) noexcept { std::fwrite(text.data(), 1, text.size(), stdout); }

Result<void> run_program(const image::ProgramOptions& options,
                         const std::optional<image::TapWish>& tap) {
  image::Host host = TRY(image::Host::create());
  return host.run(tap ? image::run_over_tap(host, *tap, options.rest)
                      : program_main(Program{host.system(), options.rest}),
                  options.run);
}

}  // namespace

int main(int count, char** words) {
  const auto options =
      image::parse_options(std::span{words, static_cast<std::size_t>(count)}.subspan(1));
  if (!options) return image::exit_status(options.error());
  if (options->help) {
    image::write_help(&print, net_help);
    return 0;
  }
  std::optional<image::TapWish> tap;
  if (!options->net.empty()) {
    Result<image::TapWish> wish = image::TapWish::parse(options->net);
    if (!wish)
      return image::refuse_option("--net",
                                  "NAME, NAME=ADDRESS/BITS[,GATEWAY] or NAME=dhcp is wanted");
    tap = *std::move(wish);
  }
  return image::exit_status(run_program(*options, tap));
}
