// The words of a machine's command line.
#include "lichen/hal/bare/words.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lichen/hal/bare/boot.hpp"

namespace lichen::hal {
namespace {

std::vector<std::string> program_words_of(std::string_view line) {
  detail::set_command_line(line);
  const auto words = detail::program_words();
  if (!words) return {"refused"};
  EXPECT_EQ(words->data()[words->size()], nullptr);
  return {words->begin() + 1, words->end()};
}

TEST(Words, ThoseForTheMachineDoNotReachTheProgram) {
  EXPECT_EQ(program_words_of("  one net=dhcp  two virtio_mmio.device=x net=10.0.0.1/8 "),
            (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(machine_word("net="), "dhcp");
  EXPECT_EQ(machine_word("virtio_mmio.device="), "x");
  EXPECT_EQ(machine_word("other="), "");
}

TEST(Words, AreAllThereOrNoProgramRuns) {
  std::string line;
  for (std::size_t i = 0; i < detail::most_program_words; ++i) line += "w ";
  EXPECT_EQ(program_words_of(line).size(), detail::most_program_words);
  EXPECT_EQ(program_words_of(line + "w"), std::vector<std::string>{"refused"});
  const std::string longest(detail::longest_command_line, 'x');
  EXPECT_EQ(program_words_of(longest), std::vector<std::string>{longest});
  EXPECT_EQ(program_words_of(longest + " "), std::vector<std::string>{"refused"});
}

}  // namespace
}  // namespace lichen::hal
