"""gdb commands for a Lichen process or its core file:

    (gdb) source tools/gdb/lichen.py
    (gdb) lichen tasks            every task, as a tree, with where it waits
    (gdb) lichen stack N          the async stack of task N, leaf to root, across the scopes that spawned it

Nothing is called in the process, so a core file will do. The program must have been built with debug
information (-g; the dev preset has it)."""

import gdb


def pointer(value):
    return int(value.cast(gdb.lookup_type("unsigned long")))


def field_offset(type_name, field_name):
    """Offset in bytes of a field, also of one in an anonymous union or a base."""
    def search(kind, start):
        for field in kind.fields():
            if not hasattr(field, "bitpos"):
                continue  # static
            at = start + field.bitpos // 8
            if field.name == field_name:
                return at
            if field.is_base_class or not field.name:
                inner = search(field.type, at)
                if inner is not None:
                    return inner
        return None
    offset = search(gdb.lookup_type(type_name), 0)
    if offset is None:
        raise gdb.GdbError(f"{type_name} has no field {field_name}: is this another version of Lichen?")
    return offset


def at(address, type_name):
    return gdb.Value(address).cast(gdb.lookup_type(type_name).pointer()).dereference()


class Place:
    """A std::source_location, read without its methods."""

    def __init__(self, location):
        implementation = location["_M_impl"]
        self.known = pointer(implementation) != 0
        if self.known:
            detail = implementation.dereference()
            self.file = detail["_M_file_name"].string()
            self.function = detail["_M_function_name"].string()
            self.line = int(detail["_M_line"])

    def __str__(self):
        return f"{self.file}:{self.line} in {self.function}" if self.known else "?"


class Task:
    """A strand: a spawned task with everything it awaits."""

    def __init__(self, address, parent):
        self.strand = at(address, "lichen::coro::Strand")
        self.depth = parent.depth + 1 if parent else 0
        self.parent = parent

    def awaits(self):
        """Where each of its frames waits, leaf first; empty while it runs or is ready."""
        places = []
        wait = self.strand["wait"]
        if pointer(wait) == 0:
            return places
        promise = wait.dereference()["waiter"]
        while pointer(promise) != 0:
            places.append(Place(promise.dereference()["where_"]))
            promise = promise.dereference()["parent"]
        return places

    def spawned_at(self):
        return Place(self.strand["spawned_at"])


def machine():
    try:
        slot = gdb.parse_and_eval("'lichen::sched::(anonymous namespace)::the_machine'")
    except gdb.error as error:
        raise gdb.GdbError("this is no Lichen program, or it has no debug information (-g): " + str(error))
    address = pointer(slot["_M_b"]["_M_p"])
    if address == 0:
        raise gdb.GdbError("no machine runs in this process at the moment")
    return at(address, "lichen::sched::Machine")


def children(scope):
    """The strands of a scope."""
    offset = field_offset("lichen::coro::Strand", "sibling")
    end = pointer(scope["children_"]["end_"].address)
    node = pointer(scope["children_"]["end_"]["next_"])
    seen = {0, end}  # a core file may have caught the list while it was being changed
    while node not in seen:
        seen.add(node)
        yield node - offset
        node = pointer(at(node, "lichen::base::ListNode")["next_"])


def scopes(strand):
    """The scopes that a strand has opened, innermost first."""
    scope = strand["innermost"]
    while pointer(scope) != 0:
        yield scope.dereference()
        scope = scope.dereference()["next_outer_"]


def all_tasks():
    """Every task, parents before children."""
    pending = [(children(machine()["root_"]), None)]
    while pending:
        strands, parent = pending[-1]
        address = next(strands, None)
        if address is None:
            pending.pop()
            continue
        task = Task(address, parent)
        yield task
        inner = [child for scope in scopes(task.strand) for child in children(scope)]
        if inner:
            pending.append((iter(inner), task))


class LichenPrefix(gdb.Command):
    """Commands about the tasks of a Lichen process: lichen tasks, lichen stack N."""

    def __init__(self):
        super().__init__("lichen", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class LichenTasks(gdb.Command):
    """Lists every task as a tree: its number, whether it waits, and where."""

    def __init__(self):
        super().__init__("lichen tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        count = 0
        for number, task in enumerate(all_tasks()):
            count = number + 1
            places = task.awaits()
            state = f"waits at {places[0]}" if places else "runs or is ready, spawned at " + str(
                task.spawned_at())
            print(f"{number:4} {'  ' * task.depth}{state}")
        print(f"{count} task{'' if count == 1 else 's'}")


class LichenStack(gdb.Command):
    """lichen stack N: the async stack of task N of `lichen tasks`, leaf to root."""

    def __init__(self):
        super().__init__("lichen stack", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = argument.strip()
        if not wanted.isdigit():
            raise gdb.GdbError("lichen stack wants the number of a task, as `lichen tasks` lists them")
        number, task = -1, None
        for number, task in enumerate(all_tasks()):
            if number == int(wanted):
                break
        if number != int(wanted):
            raise gdb.GdbError(f"there is no task {wanted}; lichen tasks lists {number + 1}")
        if not task.awaits():
            print("runs or is ready; its frames are known when it waits")
        while task:
            for place in task.awaits():
                print(f"  at {place}")
            print(f"  spawned at {task.spawned_at()}")
            task = task.parent


LichenPrefix()
LichenTasks()
LichenStack()
