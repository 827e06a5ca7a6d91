// Runs the scenarios on the kernel in the sim world. See --help.
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tests/sim/run.hpp"

namespace {

using lichen::tests::run_scenario;
using lichen::tests::Scenario;
using lichen::tests::scenarios;
using lichen::tests::Watch;

constexpr const char* help =
    R"(usage: sim_run [--seed N | --seeds N [--from M]] [--scenario NAME]... [--trace]

Runs the kernel on a simulated machine: cores of unequal speed, stalls, wakes and interrupts at moments
that a seed decides. The same seed gives the same run, to the byte.

  --seed N         one seed; prints what happened on the machine, one event a line
  --seeds N        seeds 1 to N; prints a line for each scenario, or the first seed that fails, its
                   events, and the command that replays it (default: --seeds 100)
  --from M         instead from M to M + N - 1
  --scenario NAME  only this one; may be repeated (default: all that must pass)
  --trace          with --seed: also each switch to another core
  --hash           with --seeds: a line for each run, with the hash of its events
  --list           the scenarios
  --help           this text

Exit status: 0 all passed; 1 a scenario failed; 2 wrong arguments; 3 the host refused something.
)";

struct Choice {
  std::vector<const Scenario*> scenarios;
  std::uint64_t from = 1;
  std::uint64_t count = 100;
  bool single = false;
  bool switches = false;
  bool hash = false;
};

// A run that fails ends its process, so each stretch of runs has one of its own; here it says which
// run it is at.
struct Progress {
  std::uint64_t seed;
  std::size_t scenario;
  std::uint64_t virtual_ns;
  std::uint64_t events;
  std::uint64_t preemptions;
};

// A run that takes so many seconds of a processor hangs outside of what the simulator can see.
constexpr time_t patience = 60;
void limit_time() noexcept {
  const itimerval limit{.it_interval = {}, .it_value = {.tv_sec = patience, .tv_usec = 0}};
  setitimer(ITIMER_PROF, &limit, nullptr);
}
constexpr std::size_t events_shown = 300;

std::vector<char> output;

void flush() noexcept {
  for (std::size_t at = 0; at < output.size();) {
    const ssize_t n = write(STDOUT_FILENO, output.data() + at, output.size() - at);
    if (n <= 0) break;
    at += static_cast<std::size_t>(n);
  }
  output.clear();
}

void print(std::string_view line) noexcept {
  output.insert(output.end(), line.begin(), line.end());
  if (output.size() > std::size_t{1} << 20) flush();
}

void on_crash(int number) {
  flush();
  static const char text[] = "sim_run: ended by a signal\n";
  if (number != SIGABRT) (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
  signal(number, SIG_DFL);
  raise(number);
}

void run_one(const Scenario& scenario, std::uint64_t seed, bool switches) {
  char line[200];
  std::snprintf(line, sizeof(line), "scenario %s, seed %llu\n", scenario.name.data(),
                static_cast<unsigned long long>(seed));
  print(line);
  const auto [all, preemptions] =
      run_scenario(scenario, seed, {.trace = print, .switches = switches, .failed = flush});
  std::snprintf(line, sizeof(line),
                "scenario %s, seed %llu: passed, %llu us, %llu preemptions, %llu events, %016llx\n",
                scenario.name.data(), static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(all.end_ns / 1'000),
                static_cast<unsigned long long>(preemptions),
                static_cast<unsigned long long>(all.events),
                static_cast<unsigned long long>(all.trace_hash));
  print(line);
  flush();
}

// The lines that a child process prints; of many only the last.
std::string last_lines(int from) {
  std::string text;
  char piece[65536];
  for (ssize_t n; (n = read(from, piece, sizeof(piece))) > 0;) {
    text.append(piece, static_cast<std::size_t>(n));
    if (text.size() > std::size_t{8} << 20) text.erase(0, text.size() / 2);
  }
  std::size_t at = text.size();
  for (std::size_t i = 0; i < events_shown && at != std::string::npos && at > 0; ++i)
    at = text.rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? text : "...\n" + text.substr(at + 1);
}

// Runs it again in a process of its own, which will end as it did before.
void show_failure(const char* program, const Scenario& scenario, std::uint64_t seed) {
  int ends[2];
  std::fflush(nullptr);
  if (pipe(ends) != 0) return;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    limit_time();
    run_one(scenario, seed, false);
    _exit(0);
  }
  close(ends[1]);
  const std::string text = last_lines(ends[0]);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  std::fputs(text.c_str(), stdout);
  std::printf("FAILED: scenario %s, seed %llu%s\nreplay: %s --seed %llu --scenario %s\n",
              scenario.name.data(), static_cast<unsigned long long>(seed),
              WIFEXITED(status) && WEXITSTATUS(status) == 0 ? " (but not when run by itself)" : "",
              program, static_cast<unsigned long long>(seed), scenario.name.data());
}

int run_seeds(const char* program, const Choice& choice) {
  void* memory =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 3;
  auto& progress = *static_cast<Progress*>(memory);
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < choice.scenarios.size(); ++i) {
    const Scenario& scenario = *choice.scenarios[i];
    progress = {choice.from, i, 0, 0, 0};
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) return 3;
    if (child == 0) {
      if (!freopen("/dev/null", "w", stderr)) _exit(3);
      for (std::uint64_t n = 0; n < choice.count; ++n) {
        progress.seed = choice.from + n;
        limit_time();
        const auto [all, preemptions] = run_scenario(scenario, progress.seed, {});
        progress.preemptions += preemptions;
        progress.virtual_ns += all.end_ns;
        progress.events += all.events;
        if (choice.hash) {
          std::printf("scenario %s, seed %llu: %016llx\n", scenario.name.data(),
                      static_cast<unsigned long long>(progress.seed),
                      static_cast<unsigned long long>(all.trace_hash));
        }
      }
      std::fflush(nullptr);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      show_failure(program, scenario, progress.seed);
      return 1;
    }
    std::printf("%-10s %llu seeds passed, %llu ms of virtual time, %llu preemptions, %llu events\n",
                scenario.name.data(), static_cast<unsigned long long>(choice.count),
                static_cast<unsigned long long>(progress.virtual_ns / 1'000'000),
                static_cast<unsigned long long>(progress.preemptions),
                static_cast<unsigned long long>(progress.events));
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  if (!choice.hash)
    std::printf("%llu seeds in %.1f s: %.0f runs a second\n",
                static_cast<unsigned long long>(choice.count), took.count(),
                static_cast<double>(choice.count * choice.scenarios.size()) / took.count());
  return 0;
}

int wrong(const char* what) {
  std::fprintf(stderr, "sim_run: %s\n%s", what, help);
  return 2;
}

bool read_number(const char* text, std::uint64_t& into) {
  if (!text) return false;
  const std::string_view word = text;
  const auto [end, error] = std::from_chars(word.begin(), word.end(), into);
  return error == std::errc{} && end == word.end();
}

}  // namespace

int main(int argc, char** argv) {
  Choice choice;
  bool many = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--help" || word == "-h") {
      std::fputs(help, stdout);
      return 0;
    }
    if (word == "--list") {
      for (const Scenario& each : scenarios())
        std::printf("%-10s %s\n", each.name.data(), each.what.data());
      return 0;
    }
    if (word == "--trace") {
      choice.switches = true;
    } else if (word == "--hash") {
      choice.hash = true;
    } else if (word == "--seed") {
      if (!read_number(next, choice.from)) return wrong("--seed wants a number below 2^64");
      choice.single = true;
      ++i;
    } else if (word == "--seeds") {
      if (!read_number(next, choice.count) || choice.count == 0)
        return wrong("--seeds wants a number above zero and below 2^64");
      many = true;
      ++i;
    } else if (word == "--from") {
      if (!read_number(next, choice.from)) return wrong("--from wants a number below 2^64");
      many = true;
      ++i;
    } else if (word == "--scenario") {
      const Scenario* found = nullptr;
      for (const Scenario& each : scenarios())
        if (next && each.name == next) found = &each;
      if (!found) return wrong("--scenario wants a name of --list");
      choice.scenarios.push_back(found);
      ++i;
    } else {
      return wrong((std::string{word} + ": not understood").c_str());
    }
  }
  if (choice.single && (many || choice.hash))
    return wrong("--seed does not go with --seeds, --from and --hash");
  if (choice.switches && !choice.single) return wrong("--trace goes with --seed");
  if (choice.count - 1 > UINT64_MAX - choice.from)
    return wrong("--from and --seeds: the last seed is 2^64 or more");
  if (choice.scenarios.empty())
    for (const Scenario& each : scenarios())
      if (!each.broken) choice.scenarios.push_back(&each);
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGPROF})
    signal(number, on_crash);
  if (!choice.single) return run_seeds(argv[0], choice);

  // A process for each, so that a failure of one is told and the others run, too.
  int result = 0;
  for (const Scenario* scenario : choice.scenarios) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) return 3;
    if (child == 0) {
      limit_time();
      run_one(*scenario, choice.from, choice.switches);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    result = 1;
    std::printf("FAILED: scenario %s, seed %llu\n", scenario->name.data(),
                static_cast<unsigned long long>(choice.from));
  }
  return result;
}
