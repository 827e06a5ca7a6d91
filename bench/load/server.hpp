// What the measured server uses, read from /proc: all threads of a process and of its children.
#pragma once

#include <cstdint>

namespace bench::load {

// CPU time in ns, user and kernel together. Threads that have ended are no longer counted.
uint64_t cpu_time(int pid);

// Proportional set size in bytes: shared pages are divided among the processes that map them.
uint64_t memory(int pid);

}  // namespace bench::load
