#include "counting.hpp"

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace bench {

namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench_core: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

// What an instruction is, as far as it matters here: prefixes, then one or two bytes of opcode.
void classify(const unsigned char* code, Executed& executed) {
  bool locked = false;
  for (int i = 0; i < 5; ++i) {
    const unsigned char byte = code[i];
    if (byte == 0xf0) locked = true;
    const bool prefix = byte == 0xf0 || byte == 0xf2 || byte == 0xf3 || byte == 0x66 ||
                        byte == 0x2e || byte == 0x64 || byte == 0x65 || (byte & 0xf0) == 0x40;
    if (prefix) continue;
    if ((byte == 0x86 || byte == 0x87) && (code[i + 1] & 0xc0) != 0xc0) locked = true;
    if (byte == 0x0f && code[i + 1] == 0x05) ++executed.system_calls;
    break;
  }
  if (locked) ++executed.locked;
}

}  // namespace

// The traps by which child and parent agree on the stretch to count.
[[gnu::noinline]] void counting_starts() noexcept { raise(SIGUSR1); }
[[gnu::noinline]] void counting_ends() noexcept { raise(SIGUSR2); }

Executed count_in_child(void (*work)(void* argument), void* argument) {
  const std::array<std::uintptr_t, 7> heap_functions = {
      reinterpret_cast<std::uintptr_t>(&malloc),
      reinterpret_cast<std::uintptr_t>(&calloc),
      reinterpret_cast<std::uintptr_t>(&realloc),
      reinterpret_cast<std::uintptr_t>(&free),
      reinterpret_cast<std::uintptr_t>(static_cast<void* (*)(std::size_t)>(&operator new)),
      reinterpret_cast<std::uintptr_t>(
          static_cast<void* (*)(std::size_t, const std::nothrow_t&)>(&operator new)),
      reinterpret_cast<std::uintptr_t>(static_cast<void (*)(void*)>(&operator delete))};
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) fail("ptrace is not allowed here");
    work(argument);
    _exit(0);
  }
  Executed executed;
  bool stepping = false;
  int signal = 0;
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, 0) < 0) fail("waitpid");
    if (WIFEXITED(status)) {
      if (WEXITSTATUS(status) != 0) std::exit(WEXITSTATUS(status));
      return executed;
    }
    if (WIFSIGNALED(status)) {
      std::fprintf(stderr, "bench_core: the counted process died of signal %d\n", WTERMSIG(status));
      std::exit(1);
    }
    signal = WSTOPSIG(status);
    if (signal == SIGUSR1 || signal == SIGUSR2) {
      stepping = signal == SIGUSR1;
      signal = 0;
    } else if (signal == SIGTRAP) {
      signal = 0;
    }
    if (stepping) {
      user_regs_struct registers;
      if (ptrace(PTRACE_GETREGS, child, nullptr, &registers) != 0) fail("ptrace");
      union {
        long words[2];
        unsigned char bytes[16];
      } code;
      code.words[0] = ptrace(PTRACE_PEEKTEXT, child, registers.rip, nullptr);
      code.words[1] = ptrace(PTRACE_PEEKTEXT, child, registers.rip + 8, nullptr);
      ++executed.instructions;
      classify(code.bytes, executed);
      for (const std::uintptr_t function : heap_functions)
        if (registers.rip == function) ++executed.heap_calls;
    }
    if (ptrace(stepping ? PTRACE_SINGLESTEP : PTRACE_CONT, child, nullptr, signal) != 0)
      fail("ptrace");
  }
}

}  // namespace bench
