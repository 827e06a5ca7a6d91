// An image that breaks a rule of the machine; the word on its command line says which. Each ends
// the machine with hal::panic_status, and says why.
#include <climits>
#include <cstddef>
#include <string_view>

#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"

extern "C" char __executable_start[];

namespace {

using namespace lichen;

// Not inlined and not a loop: each call has a frame of its own.
// NOLINTNEXTLINE(misc-no-recursion)
[[gnu::noinline]] int deeper(volatile int* above, int depth) {
  volatile int here[64];
  here[0] = *above + 1;
  return depth == 0 ? here[0] : deeper(here, depth - 1) + here[0];
}

constexpr char constant[] = "constant";

// Writes beyond its own variables, as a string does that is longer than was thought.
[[gnu::noinline]] void overwrite(std::size_t size) {
  char here[16];
  char* volatile at = here;
  for (std::size_t i = 0; i < size; ++i) at[i] = 'x';
}

const volatile int largest = INT_MAX;

using Function = void (*)();
const volatile std::uintptr_t nowhere = 0x1234;

// Unchecked: the check would read what lies before the function.
[[gnu::noinline, clang::no_sanitize("function")]] void call_nothing() {
  const volatile Function function = nullptr;
  function();
  volatile int not_last = 0;  // or the call would be a jump
  (void)not_last;
}

void offend(std::string_view how) {
  volatile int start = 0;
  if (how == "read-nowhere") start = *reinterpret_cast<volatile int*>(nowhere);
  if (how == "write-text") const_cast<volatile char*>(__executable_start)[0] = 1;
  if (how == "write-constant") const_cast<volatile char*>(constant)[0] = 1;
  if (how == "execute-data") {
    alignas(16) static unsigned char code[16] = {0xc3};
    const volatile Function function = reinterpret_cast<Function>(code);
    function();
  }
  if (how == "execute-memory") {
    auto pages = hal::allocate_pages(1);
    reinterpret_cast<Function>(pages->data())();
  }
  if (how == "call-nothing") call_nothing();
  if (how == "stack") (void)deeper(&start, 1'000'000);
  if (how == "overwrite") overwrite(64);
  if (how == "undefined") start = largest + 1;
  if (how == "illegal") __builtin_trap();
  if (how == "panic") hal::panic("as it was asked to");
}

Task<Result<void>> offend_later(std::string_view how) {
  CO_TRY(co_await sleep_for(std::chrono::milliseconds{1}));
  offend(how);
  co_return Result<void>{};
}

Task<Result<void>> task(std::string_view how) { co_return co_await offend_later(how); }

Task<Result<void>> root(std::string_view how) {
  Scope scope;
  scope.spawn(task(how));
  co_return co_await scope.join();
}

}  // namespace

int main(int count, char** words) {
  const std::string_view how = count > 1 ? words[1] : "";
  const bool in_task = count > 2;
  if (in_task)
    (void)run(root(how), {.cores = hal::core_count_available()});
  else
    offend(how);
  hal::write_console("nothing happened\n");
  return 1;
}
