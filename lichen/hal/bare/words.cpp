#include "lichen/hal/bare/words.hpp"

#include <algorithm>

#include "lichen/hal/bare/boot.hpp"

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal {

namespace detail {

namespace {

constinit char command_line[longest_command_line + 1]{};
constinit bool line_is_too_long = false;
constinit char program_line[sizeof(command_line)]{};  // cut into words
constinit char* words[most_program_words + 2]{};

bool is_for_machine(std::string_view word) noexcept {
  return std::ranges::any_of(machine_words, [&](auto& one) { return word.starts_with(one); });
}

}  // namespace

void set_command_line(std::string_view text) noexcept {
  const std::size_t size = std::min(text.size(), longest_command_line);
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

Result<std::span<char*>> program_words() noexcept {
  if (line_is_too_long) return Error::too_large;
  std::size_t count = 0;
  static char name[] = "lichen";
  words[count++] = name;
  std::copy_n(command_line, sizeof(command_line), program_line);
  for (char* at = program_line; *at != '\0';) {
    while (*at == ' ') *at++ = '\0';
    if (*at == '\0') break;
    char* const begin = at;
    while (*at != '\0' && *at != ' ') ++at;
    if (is_for_machine({begin, at})) continue;
    if (count > most_program_words) return Error::too_large;
    words[count++] = begin;
  }
  words[count] = nullptr;
  return std::span{words}.first(count);
}

}  // namespace detail

std::string_view machine_word(std::string_view beginning) noexcept {
  std::string_view found;
  detail::each_word(beginning, [&](std::string_view text) {
    if (found.empty()) found = text;
  });
  return found;
}

}  // namespace lichen::hal

#pragma clang attribute pop
