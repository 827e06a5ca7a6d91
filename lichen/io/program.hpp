// What an app is: a coroutine with the outside world in its hand. The composition root
// (lichen/image) starts it, as a process on a host or as an image of its own.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/system.hpp"

namespace lichen {

struct Program {
  io::System& system;
  // The words of the command line that the composition root did not take for itself.
  std::span<const std::string_view> arguments;
};

// An app defines these two. The help is shown by --help, before the options that all programs
// share. Error::invalid_argument means that the arguments made no sense and that the app has said
// so.
extern const std::string_view program_help;
Task<Result<void>> program_main(Program program);

}  // namespace lichen
