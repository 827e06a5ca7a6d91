// The options that all programs of Lichen share, and how they end.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/image/run.hpp"

namespace lichen::image {

struct ProgramOptions {
  RunOptions run;
  bool help = false;
  std::vector<std::string_view> net;    // the values of --net
  std::vector<std::string_view> disks;  // and of --disk
  std::vector<std::string_view> rest;   // words that are for the app
};

// `words` MUST outlive what is returned. Error::invalid_argument: why has been said.
Result<ProgramOptions> parse_options(std::span<char* const> words);

// Writes what the app says of itself, and the options that all share; `world`: those of this world.
void write_help(void (*write)(std::string_view) noexcept, std::string_view world) noexcept;
// Says on the console what is wrong with an option; what to return from main().
int refuse_option(std::string_view option, std::string_view why) noexcept;

// What main() returns, after it has said why if it failed.
int exit_status(const Result<void>& outcome) noexcept;

}  // namespace lichen::image
