// Defer: work to be done when this scope ends, by whichever way.
#pragma once

#include <utility>

namespace lichen::base {

//   Defer close_it{[&] { close(handle); }};
//
// What is deferred last runs first. It MUST NOT fail.
template <class F>
class [[nodiscard]] Defer {
 public:
  constexpr explicit Defer(F work) noexcept : work_{std::move(work)} {}
  Defer(const Defer&) = delete;
  Defer& operator=(const Defer&) = delete;
  constexpr ~Defer() {
    if (armed_) work_();
  }

  // Nothing is left to do: the work succeeded, or somebody else took it over.
  constexpr void dismiss() noexcept { armed_ = false; }

 private:
  [[no_unique_address]] F work_;
  bool armed_ = true;
};

}  // namespace lichen::base

namespace lichen {
using base::Defer;
}  // namespace lichen
