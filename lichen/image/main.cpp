// main() of an app that runs as a Linux process: takes the options that all programs share, starts
// the machine, hands the app its world.
#include <cstdio>
#include <span>
#include <string_view>

#include "lichen/driver/linux/host_system.hpp"
#include "lichen/image/host_words.hpp"
#include "lichen/image/options.hpp"
#include "lichen/image/run.hpp"
#include "lichen/image/tap_network.hpp"
#include "lichen/io/program.hpp"

namespace {

using namespace lichen;

constexpr std::string_view host_help =
    "  --net host=ADDRESS serve at that address of the host instead of 127.0.0.1; 0.0.0.0: at all\n"
    "  --net NAME[=ADDRESS/BITS[,GATEWAY] | =dhcp]\n"
    "                     Lichen's own TCP/IP over the TAP device NAME, instead of the\n"
    "                     host's sockets; default address 10.9.0.2/24 (of a second device\n"
    "                     10.9.1.2/24, and so on), or what DHCP and routers offer; for up to 4\n"
    "                     devices, and served at all of them\n"
    "  --disk FILE[:ro]   a disk whose sectors are those of that file or block device; :ro: only\n"
    "                     read. May be given several times\n"
    "  --realtime         frames run before other processes (SCHED_FIFO); wants the right to "
    "that:\n"
    "                     root's, or what 'ulimit -r' grants\n";

void print(std::string_view text) noexcept { std::fwrite(text.data(), 1, text.size(), stdout); }

// Error::invalid_argument: there is no such disk; why has been said.
Result<void> open_disk(driver::HostSystem& system, std::string_view word) {
  const image::DiskWish wish = image::DiskWish::parse(word);
  const Result<void> opened = system.open_disk(wish.file, {.read_only = wish.read_only});
  if (opened.failed_with(Error::not_found) || opened.failed_with(Error::wrong_type))
    return Error::invalid_argument;
  return opened;
}

Result<void> run_program(const image::ProgramOptions& options, const image::NetWish& net) {
  image::Host host = TRY(image::Host::create());
  for (const std::string_view disk : options.disks) TRY(open_disk(host.linux_system(), disk));
  if (net.serve_at) host.linux_system().serve_at(*net.serve_at);
  return host.run(net.taps.empty() ? program_main(Program{host.system(), options.rest})
                                   : image::run_over_taps(host, net.taps, options.rest),
                  options.run);
}

}  // namespace

int main(int count, char** words) {
  auto options = image::parse_options(std::span{words, static_cast<std::size_t>(count)}.subspan(1));
  if (!options) return image::exit_status(options.error());
  if (options->help) {
    image::write_help(&print, host_help);
    return std::fflush(stdout) == 0 ? 0 : 1;
  }
  image::NetWish net;
  for (const std::string_view wish : options->net)
    if (!net.add(wish))
      return image::refuse_option(
          "--net",
          "host=ADDRESS is wanted, or for up to 4 devices NAME, NAME=ADDRESS/BITS[,GATEWAY] or "
          "NAME=dhcp");
  for (const image::TapWish& wish : net.taps)
    if (!wish.problem.empty()) return image::refuse_option("--net " + wish.name, wish.problem);
  return image::exit_status(run_program(*options, net));
}
