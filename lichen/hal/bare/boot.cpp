#include "lichen/hal/bare/boot.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/base/bits.hpp"
#include "lichen/base/format.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/words.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/processor/switch.hpp"

extern "C" {
// From the linker: what every thread has a copy of, and what runs before main().
extern const char lichen_tdata[];
extern const char lichen_tdata_size[];
extern const char lichen_tls_size[];
extern const char lichen_tls_alignment[];
using Constructor = void (*)();
extern const Constructor lichen_constructors[];
extern const Constructor lichen_constructors_end[];
}

int main(int count, char** words);

namespace lichen::hal::detail {

namespace {

constexpr std::size_t core_stack_size = std::size_t{128} * 1024;
constexpr std::size_t most_words = 64;  // with the program's name

constinit char command_line[2048]{};
constinit bool line_is_too_long = false;
constinit char program_line[sizeof(command_line)]{};  // cut into words
constinit char* words[most_words + 1]{};
constinit std::byte* areas[max_cores]{};

std::size_t number(const char* symbol) noexcept { return reinterpret_cast<std::uintptr_t>(symbol); }

bool is_for_machine(std::string_view word) noexcept {
  return std::ranges::any_of(machine_words, [&](auto& one) { return word.starts_with(one); });
}

// No program runs with a part of its words.
[[noreturn]] void refuse_command_line() noexcept {
  constexpr int wrong_words = 2;
  std::array<char, 128> room;
  write_console(
      base::format_to(room,
                      "lichen: the command line is too long: {} bytes and {} words are the most\n",
                      sizeof(command_line) - 1, most_words - 1)
          .text);
  exit_machine(wrong_words);
}

// Words are separated by spaces; there is no quoting.
int split_command_line() noexcept {
  if (line_is_too_long) refuse_command_line();
  int count = 0;
  static char name[] = "lichen";
  words[count++] = name;
  std::memcpy(program_line, command_line, sizeof(command_line));
  for (char* at = program_line; *at != '\0';) {
    while (*at == ' ') *at++ = '\0';
    if (*at == '\0') break;
    char* const begin = at;
    while (*at != '\0' && *at != ' ') ++at;
    if (is_for_machine({begin, at})) continue;
    if (count == static_cast<int>(most_words)) refuse_command_line();
    words[count++] = begin;
  }
  words[count] = nullptr;
  return count;
}

void run_on_own_stack(void*) noexcept {
  local().off_depth = 0;
  unmask_interrupts();
  for (const Constructor* run = lichen_constructors; run != lichen_constructors_end; ++run)
    (*run)();
  exit_machine(main(split_command_line(), words));
}

}  // namespace

void boot(std::span<const BootStep> steps) noexcept {
  for (const BootStep& step : steps) {
    const Result<void> done = step.run();
    if (done) continue;
    std::array<char, 128> room;
    panic(base::format_to(room, "boot: {}: {}", step.name, done.error()).text);
  }
}

void set_command_line(std::string_view text) noexcept {
  const std::size_t size = std::min(text.size(), sizeof(command_line) - 1);
  std::copy_n(text.data(), size, command_line);
  command_line[size] = '\0';
  line_is_too_long = size < text.size();
}

void each_word(std::string_view beginning,
               base::FunctionRef<void(std::string_view)> show) noexcept {
  for (std::string_view rest{command_line}; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    if (word.starts_with(beginning)) show(word.substr(beginning.size()));
  }
}

void run_program() noexcept {
  auto stack = make_core_stack(core_stack_size);
  if (!stack) panic("boot: there is no memory for the first core's stack");
  local().stack = *stack;
  void* early = nullptr;
  lichen_switch(&early, lay_first_frame(*stack, &run_on_own_stack, nullptr));
  __builtin_unreachable();
}

// A core's memory is one granule: the processor's area first, the thread's variables last.
Result<std::uintptr_t> make_thread(CoreId core) noexcept {
  const auto memory = TRY(allocate_aligned(granule_size, granule_size));
  const std::size_t alignment = std::max<std::size_t>(number(lichen_tls_alignment), 1);
  const std::size_t size = base::align_up(number(lichen_tls_size), alignment);
  // The end of the variables is aligned, too: that is where some processors' thread pointer is.
  const std::size_t room =
      base::align_up(size + thread_control_size, std::max(alignment, cache_line));
  if (room > memory.size() / 2) return Error::no_memory;
  std::memset(memory.data(), 0, memory.size());
  std::byte* variables = memory.data() + memory.size() - room;
  std::memcpy(variables, lichen_tdata, number(lichen_tdata_size));
  areas[core] = memory.data();
  return lay_thread_control(variables, size);
}

std::span<std::byte> processor_area(CoreId core) noexcept {
  return {areas[core], granule_size / 2};
}

}  // namespace lichen::hal::detail

std::string_view lichen::hal::machine_word(std::string_view beginning) noexcept {
  std::string_view found;
  detail::each_word(beginning, [&](std::string_view text) {
    if (found.empty()) found = text;
  });
  return found;
}
