// One word for each core (on a host: each thread), found through the processor's thread pointer.
#pragma once

// The compiler may keep the address of a thread-local across the suspension of a coroutine, which
// may then run on another thread (LLVM #111257). So the word is read by an instruction that the
// compiler neither remembers nor moves across a suspension. A kernel gives each core thread-local
// storage of the same layout (ELF TLS, initial-exec model), so this file is the same on a host and
// on bare rock.
extern "C" {
[[gnu::tls_model("initial-exec")]] extern constinit thread_local void* lichen_core_slot;
}

namespace lichen::base {

inline void* core_slot() noexcept {
  void* word;
#if defined(__x86_64__)
  asm volatile(
      "movq lichen_core_slot@gottpoff(%%rip), %0\n\t"
      "movq %%fs:(%0), %0"
      : "=r"(word));
#elif defined(__riscv)
  asm volatile(
      "la.tls.ie %0, lichen_core_slot\n\t"
      "add %0, %0, tp\n\t"
      "ld %0, 0(%0)"
      : "=&r"(word));
#else
#error "core_slot() is not written for this processor yet"
#endif
  return word;
}

[[gnu::noinline]] void set_core_slot(void* word) noexcept;

}  // namespace lichen::base
