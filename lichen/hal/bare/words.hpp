// Words of the command line that are for the machine, not for the program.
#pragma once

#include <string_view>

namespace lichen::hal {

// What follows `beginning` in the first word that begins so; empty: there is none. The program does
// not see it if `beginning` is one of machine_words.
std::string_view machine_word(std::string_view beginning) noexcept;

inline constexpr std::string_view machine_words[] = {
    "net=", "net2=", "net3=", "net4=", "virtio_mmio.device="};

}  // namespace lichen::hal
