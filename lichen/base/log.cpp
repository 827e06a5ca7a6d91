#include "lichen/base/log.hpp"

#include <algorithm>

namespace lichen::base::log {

namespace {

constinit std::atomic<Sink> current_sink{nullptr};
constinit std::atomic<Sink> default_sink{nullptr};

bool is_control(char character) noexcept {
  const auto code = static_cast<unsigned char>(character);
  return code < 0x20 || code == 0x7F;
}

}  // namespace

std::string_view name(Level level) noexcept {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warning: return "warning";
    case Level::error: return "error";
    case Level::nothing: return "nothing";
  }
  return "unknown";
}

void set_sink(Sink sink) noexcept { current_sink.store(sink, std::memory_order_release); }

void set_default_sink(Sink sink) noexcept {
  default_sink.store(sink, std::memory_order_release);
  Sink none = nullptr;
  current_sink.compare_exchange_strong(none, sink, std::memory_order_acq_rel);
}

bool fit_for_handlers() noexcept {
  const Sink sink = current_sink.load(std::memory_order_acquire);
  return sink == nullptr || sink == default_sink.load(std::memory_order_acquire);
}

void set_level(Level level) noexcept { detail::level.store(level, std::memory_order_relaxed); }

void detail::write(Level level, std::string_view text,
                   std::span<const FormatArgument> arguments) noexcept {
  const Sink sink = current_sink.load(std::memory_order_acquire);
  if (sink == nullptr) return;
  constexpr std::string_view cut = "...";
  char line[max_line];
  TextBuffer out{line};
  format_arguments(out, text, arguments);
  const std::size_t size = out.text().size();
  if (out.truncated()) std::ranges::copy(cut, line + size - cut.size());
  std::replace_if(line, line + size, is_control, '?');
  sink(level, {line, size});
}

}  // namespace lichen::base::log
