#include "bench/load/server.hpp"

#include <dirent.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench::load {
namespace {

template <class Each>
void each_child(int pid, Each&& each) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return;
  int child;
  while (std::fscanf(file, "%d", &child) == 1) each(child);
  std::fclose(file);
}

}  // namespace

uint64_t cpu_time(int pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR* threads = opendir(path);
  if (threads == nullptr) return 0;
  uint64_t total = 0;
  while (dirent* entry = readdir(threads)) {
    if (entry->d_name[0] == '.') continue;
    // The first number of schedstat is the time on a CPU in ns; stat has only clock ticks.
    std::snprintf(path, sizeof path, "/proc/%d/task/%.16s/schedstat", pid, entry->d_name);
    if (std::FILE* file = std::fopen(path, "re")) {
      uint64_t ns = 0;
      if (std::fscanf(file, "%" SCNu64, &ns) == 1) total += ns;
      std::fclose(file);
    }
  }
  closedir(threads);
  each_child(pid, [&](int child) { total += cpu_time(child); });
  return total;
}

uint64_t memory(int pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  uint64_t kilobytes = 0;
  if (std::FILE* file = std::fopen(path, "re")) {
    char line[256];
    while (std::fgets(line, sizeof line, file) != nullptr)
      if (std::sscanf(line, "Pss: %" SCNu64, &kilobytes) == 1) break;
    std::fclose(file);
  }
  uint64_t total = kilobytes * 1024;
  each_child(pid, [&](int child) { total += memory(child); });
  return total;
}

}  // namespace bench::load
