// Why a frame was late; bench/README.md says what each means.
#pragma once

#include <array>

namespace bench::frames {

// The first of these that explains it: without that it would have been in time.
enum class Reason : unsigned {
  stand_in,  // the host kept the core's thread in a call, and the core went on on another
  slept,     // the core's thread gave its processor away by itself
  host,      // the host says that it kept the thread from its processor
  unseen,    // it took the processor and does not say so
  section,   // interrupts had to wait for code that must not be left
  budget,    // the reservation's was used up, so the frame ran among fair work
  other,
};
inline constexpr std::array<const char*, 7> reasons{"stand_in", "slept",  "host", "unseen",
                                                    "section",  "budget", "other"};

}  // namespace bench::frames
