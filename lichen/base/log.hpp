// The log: one line of text at a time, to wherever the composition root sends it.
//
//   log::info("listening on {}", address);
//   log::debug("tree is {}", [&] { return draw(tree); });  // called only if the line is written
//
// A line below the run-time level costs one relaxed load and a branch that is not taken. A line
// below the compile-time floor (LICHEN_LOG_FLOOR: 0 debug, 1 info, 2 warning, 3 error, 4 nothing at
// all) is not there: the call is an empty inline function. The floor MUST be the same in all of a
// program. These are functions, so their arguments are evaluated in any case; what costs something
// goes into a lambda. Nothing is allocated: the line is put together on the stack and cut at
// max_line characters.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "lichen/base/format.hpp"

#ifndef LICHEN_LOG_FLOOR
#define LICHEN_LOG_FLOOR 0
#endif

namespace lichen::base::log {

enum class Level : std::uint8_t { debug, info, warning, error, nothing };

inline constexpr Level floor{LICHEN_LOG_FLOOR};
inline constexpr std::size_t max_line = 512;

std::string_view name(Level level) noexcept;

// Takes a line without its newline; control characters in it have been replaced by '?', so that
// what a peer sent cannot forge a line. Called on whichever core logs, several at once; it MUST NOT
// log.
using Sink = void (*)(Level level, std::string_view line) noexcept;

// Set by the composition root, at any time. Without a sink (null, as at the start) lines are
// dropped.
void set_sink(Sink sink) noexcept;
// The same, unless there is one already. It MUST be fit for interrupt handlers.
void set_default_sink(Sink sink) noexcept;
// Whether an interrupt handler may log: lines go to the default sink, or are dropped.
[[nodiscard]] bool fit_for_handlers() noexcept;
// Lines below this level are dropped; info at the start.
void set_level(Level level) noexcept;

namespace detail {

inline constinit std::atomic<Level> level{Level::info};

template <class T>
decltype(auto) evaluate(const T& argument) noexcept {
  if constexpr (std::invocable<const T&>) {
    return argument();
  } else {
    return (argument);
  }
}

template <class T>
using Evaluated = std::remove_cvref_t<decltype(evaluate(std::declval<const T&>()))>;

[[gnu::cold, gnu::noinline]] void write(Level level, std::string_view text,
                                        std::span<const FormatArgument> arguments) noexcept;

// Small values go in registers, so that a call that writes nothing stores nothing either.
template <class T>
using Passed =
    std::conditional_t<std::is_scalar_v<T> || std::same_as<T, std::string_view>, T, const T&>;

template <class... Args>
[[gnu::cold, gnu::noinline]] void write_evaluated(Level level, std::string_view text,
                                                  Passed<Args>... args) noexcept {
  const FormatArgument arguments[] = {FormatArgument{args}..., FormatArgument{false}};
  write(level, text, std::span{arguments}.first(sizeof...(Args)));
}

template <Level level, class... Args>
void line(std::string_view text, const Args&... args) noexcept {
  if constexpr (level >= floor && floor != Level::nothing) {
    if (level >= detail::level.load(std::memory_order_relaxed)) [[unlikely]] {
      write_evaluated<Evaluated<Args>...>(level, text, evaluate(args)...);
    }
  }
}

}  // namespace detail

// Whether a line of this level is written: to guard work that does not fit into a lambda.
[[nodiscard]] inline bool is_on(Level level) noexcept {
  return level >= floor && level != Level::nothing &&
         level >= detail::level.load(std::memory_order_relaxed);
}

template <class... Args>
using Format = FormatString<std::type_identity_t<detail::Evaluated<Args>>...>;

// For the one who develops Lichen.
template <class... Args>
void debug(std::type_identity_t<Format<Args...>> format, const Args&... args) noexcept {
  detail::line<Level::debug>(format.text(), args...);
}

// What the one who runs it wants to know.
template <class... Args>
void info(std::type_identity_t<Format<Args...>> format, const Args&... args) noexcept {
  detail::line<Level::info>(format.text(), args...);
}

// Something is missing or was refused, and the work goes on without it.
template <class... Args>
void warning(std::type_identity_t<Format<Args...>> format, const Args&... args) noexcept {
  detail::line<Level::warning>(format.text(), args...);
}

// Something that was asked for could not be done.
template <class... Args>
void error(std::type_identity_t<Format<Args...>> format, const Args&... args) noexcept {
  detail::line<Level::error>(format.text(), args...);
}

}  // namespace lichen::base::log

namespace lichen {
namespace log = base::log;
}  // namespace lichen
