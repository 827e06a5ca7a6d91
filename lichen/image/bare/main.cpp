// main() of an app that is an image of its own: the words come from whoever loads it, and how the
// app ends is how the machine does.
#include <span>
#include <string_view>

#include "lichen/base/log.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/options.hpp"
#include "lichen/image/run.hpp"
#include "lichen/io/program.hpp"

namespace {

using namespace lichen;

Result<void> run_program(const image::ProgramOptions& options) {
  image::Host host = TRY(image::Host::create());
  return host.run(program_main(Program{host.system(), options.rest}), options.run);
}

}  // namespace

int main(int count, char** words) {
  const auto options =
      image::parse_options(std::span{words, static_cast<std::size_t>(count)}.subspan(1));
  if (!options) return image::exit_status(options.error());
  if (options->help) {
    image::write_help(&hal::write_console, {});
    return 0;
  }
  constexpr std::string_view no_choice = "this image has no such choice";
  if (!options->net.empty()) return image::refuse_option("--net", no_choice);
  if (!options->disks.empty()) return image::refuse_option("--disk", no_choice);
  if (options->run.cores > hal::core_count_available())
    return image::refuse_option("--cores", "this machine has fewer processors");
  const Result<void> outcome = run_program(*options);
  if (outcome.failed_with(Error::no_memory))
    base::log::error("out of memory: this machine has {} KiB for the program, which needs more",
                     hal::memory_size() / 1024);
  return image::exit_status(outcome);
}
