// QoS classes, and the root buckets they make with the two roles of a group.
#pragma once

#include <cstdint>
#include <string_view>

namespace lichen::sched {

// How soon somebody waits for the work. The most urgent first.
enum class Qos : std::uint8_t {
  user_interactive,  // somebody watches it move
  user_initiated,    // somebody waits for it
  utility,           // somebody will want it, and sees its progress
  background,        // nobody knows that it runs
};
inline constexpr unsigned qos_count = 4;

constexpr std::string_view name(Qos qos) noexcept {
  constexpr std::string_view names[] = {"user_interactive", "user_initiated", "utility",
                                        "background"};
  return names[static_cast<unsigned>(qos)];
}

// A root bucket: the foreground's four classes, then the background's four. The lower, the more
// urgent.
inline constexpr unsigned bucket_count = 2 * qos_count;

constexpr unsigned bucket_of(bool foreground, Qos qos) noexcept {
  return (foreground ? 0 : qos_count) + static_cast<unsigned>(qos);
}

// What run time is counted under: the event lane, frames within their budget, and the buckets.
inline constexpr unsigned event_band = 0;
inline constexpr unsigned frame_band = 1;
inline constexpr unsigned first_bucket_band = 2;
inline constexpr unsigned band_count = first_bucket_band + bucket_count;

constexpr std::string_view band_name(unsigned band) noexcept {
  constexpr std::string_view names[] = {
      "event",
      "frame",
      "foreground user_interactive",
      "foreground user_initiated",
      "foreground utility",
      "foreground background",
      "background user_interactive",
      "background user_initiated",
      "background utility",
      "background background",
  };
  return names[band];
}

}  // namespace lichen::sched
