// Counts what a piece of code executes, one instruction at a time: no sampling, no estimate.
#pragma once

#include <cstdint>

namespace bench {

struct Executed {
  std::uint64_t instructions = 0;
  std::uint64_t locked = 0;  // atomic read-modify-writes: LOCK prefix, or XCHG with memory
  std::uint64_t system_calls = 0;
  std::uint64_t heap_calls =
      0;  // entries into malloc, calloc, realloc, free, operator new and delete
};

// Between these two the process counts, if it runs under count_in_child().
void counting_starts() noexcept;
void counting_ends() noexcept;

// Runs `work` in a child process that is single-stepped between counting_starts() and
// counting_ends(). x86-64 Linux with ptrace. Ends the process if that is not allowed.
Executed count_in_child(void (*work)(void* argument), void* argument);

}  // namespace bench
