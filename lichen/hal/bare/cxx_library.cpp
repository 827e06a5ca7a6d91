// What the compiler, and libstdc++'s headers, take for granted of a C++ runtime.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>

#include "lichen/hal/hal.hpp"

using lichen::hal::panic;

extern "C" {

// Set before the first function runs that checks it, for processors where it is not at the thread
// pointer.
std::uintptr_t __stack_chk_guard = 0x9e37'79b9'7f4a'7c00;
[[noreturn]] void __stack_chk_fail() noexcept { panic("a stack has been overwritten"); }
// What libstdc++'s own functions name for when an exception passes through them: none is thrown.
[[noreturn]] void __gxx_personality_v0() noexcept { panic("an exception is thrown"); }
[[noreturn]] void __cxa_pure_virtual() noexcept { panic("a pure virtual function is called"); }

// What libstdc++'s counters ask before they do without atomics.
char __libc_single_threaded = 0;

// Itanium C++ ABI, section 3.3.3: the first byte says that the object is there; we use the second
// one for "somebody is at it".
int __cxa_guard_acquire(std::uint64_t* guard) noexcept {
  auto* const done = reinterpret_cast<std::uint8_t*>(guard);
  auto* const taken = done + 1;
  for (;;) {
    if (__atomic_load_n(done, __ATOMIC_ACQUIRE) != 0) return 0;
    if (__atomic_exchange_n(taken, 1, __ATOMIC_ACQUIRE) == 0) {
      if (__atomic_load_n(done, __ATOMIC_ACQUIRE) == 0) return 1;
      __atomic_store_n(taken, 0, __ATOMIC_RELEASE);
      return 0;
    }
    lichen::hal::pause();
  }
}
void __cxa_guard_release(std::uint64_t* guard) noexcept {
  auto* const done = reinterpret_cast<std::uint8_t*>(guard);
  __atomic_store_n(done, 1, __ATOMIC_RELEASE);
  __atomic_store_n(done + 1, 0, __ATOMIC_RELEASE);
}
}

#ifndef _GLIBCXX_ATOMIC_BUILTINS
namespace __gnu_cxx {

// What libstdc++'s counters are counted with where its headers do not say.
_Atomic_word __exchange_and_add(volatile _Atomic_word* word, int by) noexcept {
  return __atomic_fetch_add(word, by, __ATOMIC_ACQ_REL);
}
void __atomic_add(volatile _Atomic_word* word, int by) noexcept {
  __atomic_fetch_add(word, by, __ATOMIC_ACQ_REL);
}

}  // namespace __gnu_cxx
#endif

namespace std {

// Without exceptions these are where a library's check ends.
void __throw_bad_alloc() { panic("operator new: no memory"); }
void __throw_bad_array_new_length() { panic("operator new[]: no such length"); }
void __throw_length_error(const char* what) { panic(what); }
void __throw_logic_error(const char* what) { panic(what); }
void __throw_invalid_argument(const char* what) { panic(what); }
void __throw_out_of_range(const char* what) { panic(what); }
void __throw_out_of_range_fmt(const char* what, ...) { panic(what); }
void __throw_bad_function_call() { panic("an empty std::function is called"); }

// How make_shared() finds its object where there are type names; here another way is taken.
bool _Sp_make_shared_tag::_S_eq(const type_info&) noexcept { return false; }

// The empty object that the headers declare.
const nothrow_t nothrow{};

}  // namespace std
