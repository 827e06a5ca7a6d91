// An app, as those in apps/.
#include <cstdio>

#include "lichen/io/program.hpp"

namespace lichen {

const std::string_view program_help = "app: prints its arguments.\n";

Task<Result<void>> program_main(Program program) {
  for (const std::string_view word : program.arguments)
    std::printf("%.*s\n", static_cast<int>(word.size()), word.data());
  co_return Result<void>{};
}

}  // namespace lichen
