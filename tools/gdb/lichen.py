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

    def __init__(self, address, depth, parent):
        self.strand = at(address, "lichen::coro::Strand")
        self.depth = depth
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


def children(scope, depth, parent, tasks):
    end = pointer(scope["children_"]["end_"].address)
    offset = field_offset("lichen::coro::Strand", "sibling")
    node = pointer(scope["children_"]["end_"]["next_"])
    while node != end and node != 0:
        task = Task(node - offset, depth, parent)
        tasks.append(task)
        inner = task.strand["innermost"]
        while pointer(inner) != 0:
            children(inner.dereference(), depth + 1, task, tasks)
            inner = inner.dereference()["next_outer_"]
        node = pointer(at(node, "lichen::base::ListNode")["next_"])


def all_tasks():
    tasks = []
    children(machine()["root_"], 0, None, tasks)
    return tasks


class LichenPrefix(gdb.Command):
    """Commands about the tasks of a Lichen process: lichen tasks, lichen stack N."""

    def __init__(self):
        super().__init__("lichen", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class LichenTasks(gdb.Command):
    """Lists every task as a tree: its number, whether it waits, and where."""

    def __init__(self):
        super().__init__("lichen tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        tasks = all_tasks()
        for number, task in enumerate(tasks):
            places = task.awaits()
            state = f"waits at {places[0]}" if places else "runs or is ready, spawned at " + str(
                task.spawned_at())
            print(f"{number:4} {'  ' * task.depth}{state}")
        print(f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}")


class LichenStack(gdb.Command):
    """lichen stack N: the async stack of task N of `lichen tasks`, leaf to root."""

    def __init__(self):
        super().__init__("lichen stack", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        tasks = all_tasks()
        if not argument.strip().isdigit() or int(argument) >= len(tasks):
            raise gdb.GdbError(f"lichen stack wants the number of a task, 0 to {len(tasks) - 1}")
        task = tasks[int(argument)]
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
