"""Reads what bench_counter counts, and says which functions the instructions are in."""

import array
import bisect
import mmap
import operator
import struct
import subprocess

BLOCK = struct.Struct("QQIHH")


class Counts:
    """A machine's counters (see bench/guest/counter.cpp), which change while they are read."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    def read(self):
        """{(address, length, repeats): instructions}"""
        words = array.array("Q", self.map[:])
        counts = {}
        for at in range(0, len(words), 3):
            if words[at + 2] and words[at + 1]:
                counts[words[at], words[at + 2] & 0xFFFFFFFF, words[at + 2] >> 48] = words[at + 1]
        return counts

    def read_locked(self):
        """{address: (times, atomic read-modify-writes each time)} of the blocks with any."""
        words = array.array("Q", self.map[:])
        return {words[at]: (words[at + 1] // (words[at + 2] & 0xFFFFFFFF), words[at + 2] >> 32 & 0xFFFF)
                for at in range(0, len(words), 3) if words[at + 1] and words[at + 2] >> 32 & 0xFFFF}


class Lines:
    """Cache lines that atomic read-modify-writes have changed."""

    WORDS = 6  # of an entry

    def __init__(self, path):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    def read(self):
        """{(line, instruction): how often, by processor}"""
        words = array.array("Q", self.map[:])
        return {(words[at], words[at + 1]): tuple(words[at + 2:at + self.WORDS])
                for at in range(0, len(words), self.WORDS) if words[at]}


def foreign(before, after):
    """{instruction: how often it changed a line that another processor changes more often}. Of a lock that n
    processors share alike that is all but one part in n of its use, whatever the order in which they come."""
    changes, users = [], {}
    for (line, instruction), counts in after.items():
        more = tuple(map(operator.sub, counts, before.get((line, instruction), (0,) * len(counts))))
        changes.append((line, instruction, more))
        users[line] = tuple(map(operator.add, users.get(line, (0,) * len(counts)), more))
    instructions = {}
    for line, instruction, more in changes:
        owner = users[line].index(max(users[line]))
        if times := sum(more) - more[owner]:
            instructions[instruction] = instructions.get(instruction, 0) + times
    return instructions


def difference(before, after):
    return {block: count - before.get(block, 0) for block, count in after.items()
            if count != before.get(block, 0)}


def totals(counts):
    """Instructions as a processor counts them, and further steps of those that repeat themselves."""
    steps = sum(count for (_, length, repeats), count in counts.items() if repeats and length == 1)
    return sum(counts.values()) - steps, steps


class Symbols:
    """Functions by address."""

    def __init__(self):
        self.starts, self.names = [], []

    def add(self, symbols):
        """[(address, name)]"""
        both = sorted([*zip(self.starts, self.names), *symbols])
        self.starts, self.names = [at for at, _ in both], [name for _, name in both]

    def add_elf(self, path, base=0):
        lines = subprocess.run(["nm", "-C", "--defined-only", path], capture_output=True, text=True, check=True)
        self.add([(int(line.split(" ", 2)[0], 16) + base, line.split(" ", 2)[2])
                  for line in lines.stdout.splitlines() if line[17:18] in "tTwWiV"])

    def name(self, address):
        at = bisect.bisect_right(self.starts, address) - 1
        return self.names[at] if at >= 0 else "?"


def by_function(counts, symbols):
    """[(instructions, steps of repetition, function)], the most first."""
    functions = {}
    for (address, length, repeats), count in counts.items():
        name = symbols.name(address)
        entry = functions.setdefault(name, [0, 0])
        entry[1 if repeats and length == 1 else 0] += count
    return sorted(((count, steps, name) for name, (count, steps) in functions.items()), reverse=True)
