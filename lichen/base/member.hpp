// Pointers to members as parameters of the intrusive containers: from a node back to what holds it,
// and from an element to its key.
#pragma once

#include <bit>
#include <cstddef>
#include <type_traits>

namespace lichen::base {

// The T whose member `Member` is at `node`. Member may be inherited (&Base::node), but not
// virtually. A pointer to a data member is its offset (Itanium C++ ABI, 2.3), so this is one
// subtraction.
template <class T, auto Member, class Node>
T* holder_of(Node* node) noexcept {
  constexpr Node T::* member = Member;
  static_assert(sizeof member == sizeof(std::ptrdiff_t));
  return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(node) -
                              std::bit_cast<std::ptrdiff_t>(member));
}

// item.*Key, (item.*Key)() or Key(item), whichever Key is.
template <auto Key, class T>
constexpr decltype(auto) key_of(const T& item) noexcept {
  using Type = decltype(Key);
  if constexpr (std::is_member_object_pointer_v<Type>) {
    return (item.*Key);
  } else if constexpr (std::is_member_function_pointer_v<Type>) {
    return (item.*Key)();
  } else {
    return Key(item);
  }
}

}  // namespace lichen::base
