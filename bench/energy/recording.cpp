#include "bench/energy/recording.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace lichen::bench {

namespace {

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t longest_us = 3'600'000'000;

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

std::optional<std::uint64_t> next_number(std::string_view& line) {
  const std::string_view word = next_word(line);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc{} || end != word.data() + word.size() || number > longest_us)
    return std::nullopt;
  return number;
}

// All that is left; none when something is no number.
std::optional<std::vector<std::uint64_t>> all_numbers(std::string_view line) {
  std::vector<std::uint64_t> numbers;
  while (line.find_first_not_of(' ') != line.npos) {
    const auto number = next_number(line);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

bool read_track(Load& load, std::string_view line) {
  const std::string_view name = next_word(line);
  const auto period = next_number(line);
  const auto work = all_numbers(line);
  if (name.empty() || !period || *period == 0 || !work || work->empty()) return false;
  std::vector<std::uint64_t> sorted = *work;
  std::ranges::sort(sorted);
  const std::uint64_t usual = std::max<std::uint64_t>(sorted[sorted.size() * 99 / 100], 1);
  Track track{.name = name, .period_ns = *period * us, .budget_ns = usual * us, .frames = {}};
  Stream beyond{.name = name, .background = false, .urgent = true, .tasks = {}};
  for (std::size_t i = 0; i < work->size(); ++i) {
    const std::uint64_t at = (i + 1) * track.period_ns;
    const std::uint64_t part = std::min((*work)[i], usual);
    track.frames.push_back({at, part * us});
    if ((*work)[i] > part) beyond.tasks.push_back({at, ((*work)[i] - part) * us});
  }
  load.tracks.push_back(std::move(track));
  if (!beyond.tasks.empty()) load.streams.push_back(std::move(beyond));
  return true;
}

bool read_stream(Load& load, std::string_view line) {
  const std::string_view name = next_word(line);
  const std::string_view kind = next_word(line);
  const auto numbers = all_numbers(line);
  if (name.empty() || (kind != "urgent" && kind != "usual" && kind != "upkeep")) return false;
  if (!numbers || numbers->size() % 2 != 0) return false;
  Stream stream{
      .name = name, .background = kind == "upkeep", .urgent = kind == "urgent", .tasks = {}};
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < numbers->size(); i += 2) {
    at += (*numbers)[i] * us;
    stream.tasks.push_back({at, (*numbers)[i + 1] * us});
  }
  load.streams.push_back(std::move(stream));
  return true;
}

}  // namespace

std::optional<Load> read_recording(std::string_view name, std::string_view text, unsigned& line) {
  Load load{.name = name, .length_ns = 0, .tracks = {}, .streams = {}};
  line = 0;
  while (!text.empty()) {
    ++line;
    std::string_view words = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(words.size() + 1, text.size()));
    if (words.empty() || words.front() == '#') continue;
    const std::string_view kind = next_word(words);
    if (kind == "length") {
      const auto length = next_number(words);
      if (!length || *length == 0) return std::nullopt;
      load.length_ns = *length * us;
    } else if (kind == "track" ? !read_track(load, words)
                               : kind != "stream" || !read_stream(load, words)) {
      return std::nullopt;
    }
  }
  if (load.length_ns == 0 || load.tracks.empty()) return std::nullopt;
  return load;
}

}  // namespace lichen::bench
