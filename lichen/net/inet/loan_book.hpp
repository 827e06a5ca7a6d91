// LoanBook: segments whose payload devices still read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/net/tcp/output.hpp"

namespace lichen::net::inet {

// Each of several devices gives back what was lent to it; the book counts what came back in the
// order in which it was lent, as tcp::Loans wants it.
class LoanBook {
 public:
  static constexpr std::size_t most = 1'024;  // at a time

  // Its number, for give_back().
  std::uint64_t lend() noexcept { return loans_.lent++; }
  void give_back(std::uint64_t number) noexcept {
    back_[number % most] = true;
    while (back_[loans_.returned % most]) back_[loans_.returned++ % most] = false;
  }
  [[nodiscard]] const tcp::Loans& loans() const noexcept { return loans_; }

 private:
  tcp::Loans loans_;
  std::array<bool, most> back_{};
};

}  // namespace lichen::net::inet
