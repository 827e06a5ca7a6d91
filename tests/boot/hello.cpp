// The smallest image: says that it runs, and with which words.
#include "lichen/hal/hal.hpp"

int main(int count, char** words) {
  lichen::hal::write_console("hello from a machine of our own\n");
  for (int i = 1; i < count; ++i) {
    lichen::hal::write_console("word: ");
    lichen::hal::write_console(words[i]);
    lichen::hal::write_console("\n");
  }
  return 7;
}
