// An Error alone must be looked at just as a Result.
// expect: error: ignoring return value of function declared with 'nodiscard' attribute
#include "lichen/base/error.hpp"

lichen::Error last_error();

void ask() {
#ifdef LICHEN_MISUSE
  last_error();
#else
  static_cast<void>(last_error());
#endif
}
