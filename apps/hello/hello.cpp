// Hello: the smallest app. Says that it runs, and with which words, and ends.
#include "lichen/base/log.hpp"
#include "lichen/io/program.hpp"

namespace lichen {

const std::string_view program_help = "hello: says hello, and the words it was given.\n";

Task<Result<void>> program_main(Program program) {
  log::info("hello");
  for (const std::string_view word : program.arguments) log::info("word: {}", word);
  co_return Result<void>{};
}

}  // namespace lichen
