// Several lambdas as one overloaded function, for std::visit and the like.
#pragma once

namespace lichen::base {

//   std::visit(overloaded{[](int number) { ... }, [](std::string_view text) { ... }}, value);
template <class... Functions>
struct overloaded : Functions... {
  using Functions::operator()...;
};

}  // namespace lichen::base

namespace lichen {
using base::overloaded;
}  // namespace lichen
