// What a script's sysctl commands mean here. They are run by a stand-in for sysctl(8) that writes
// lines "name=value" to a file, which is read when the script makes its first socket.
#pragma once

#include "tests/packetdrill/world.hpp"

namespace lichen::packetdrill {

// Names that mean nothing here are passed over.
void apply_sysctls(const char* path, Setup& setup);

// Words "name=value" of --so_flags, separated by commas: local4, local6, mtu.
void apply_flags(const char* flags, Setup& setup);

}  // namespace lichen::packetdrill
