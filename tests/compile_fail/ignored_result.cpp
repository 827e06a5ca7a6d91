// A failure that nobody looks at.
// expect: error: ignoring return value of function declared with 'nodiscard' attribute
#include "lichen/base/result.hpp"

lichen::Result<int> answer();

void ask() {
#ifdef LICHEN_MISUSE
  answer();
#else
  answer().ignore();
#endif
}
