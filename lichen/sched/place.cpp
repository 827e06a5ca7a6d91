#include "lichen/sched/place.hpp"

#include "lichen/sched/machine.hpp"

namespace lichen::sched {

Result<Group::Handle> make_group(const GroupOptions& options) noexcept {
  return Group::create(Machine::current().registry(), options);
}

void set_foreground(Group& group, bool foreground) noexcept {
  group.set_foreground(foreground);
  Machine& machine = executor_of(nullptr).machine();
  for (unsigned i = 0; i < machine.cores(); ++i) machine.core(i).interrupt();
}

}  // namespace lichen::sched
