// sort: puts elements in order with little code; std::sort makes ten times as much for each type.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace lichen::base {

namespace detail {

// What is below `at` in the heap is in order already.
template <class T, class Before>
[[clang::minsize, gnu::noinline]] void sift_down(std::span<T> heap, std::size_t at,
                                                 Before& before) {
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= heap.size()) return;
    if (child + 1 < heap.size() && before(heap[child], heap[child + 1])) ++child;
    if (!before(heap[at], heap[child])) return;
    using std::swap;
    swap(heap[at], heap[child]);
    at = child;
  }
}

}  // namespace detail

// Heap sort: in place, in n log n steps at most; equal ones end in any order. before(a, b): a comes
// before b.
template <class T, class Before>
[[clang::minsize]] void sort(std::span<T> elements, Before before) {
  for (std::size_t i = elements.size() / 2; i-- > 0;) detail::sift_down(elements, i, before);
  for (std::size_t left = elements.size(); left-- > 1;) {
    using std::swap;
    swap(elements[0], elements[left]);
    detail::sift_down(elements.first(left), 0, before);
  }
}

}  // namespace lichen::base
