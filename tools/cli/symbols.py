"""lichen symbols: what a machine says, with addresses of its image told as functions and lines."""
import contextlib
import json
import pathlib
import re
import subprocess
import sys

from cli import elf
from cli.common import ROOT, tool

DESCRIPTION = """Copies what a machine has said from standard input to standard output. Behind each line
with addresses of the image it says what lies there. Needs IMAGE.debug beside IMAGE, or an IMAGE that was
not stripped."""

# As lichen/sched/faults.cpp and stall.cpp write it, and as hal does.
ADDRESS = re.compile(r"\bimage\+0x([0-9a-f]+)|\b(?:at|from) 0x([0-9a-f]{16})\b")


def add_to(commands):
    parser = commands.add_parser("symbols", help="tell functions and lines in a machine's output",
                                 description=DESCRIPTION)
    parser.add_argument("image", metavar="IMAGE")
    parser.set_defaults(run=run)


def run(words):
    with Symbols(words.image) as symbols:
        for raw in sys.stdin.buffer:  # a console says what it likes
            line = raw.decode(errors="replace").rstrip("\r\n")
            print("\n".join([line, *symbols.explain(line)]), flush=True)
    return 0


class Symbols:
    def __init__(self, image):
        image = pathlib.Path(image)
        self.image = elf.read(image)
        debug = image.with_name(image.name + ".debug")
        self.told = set()
        self.process = subprocess.Popen(
            [tool("llvm-symbolizer"), f"--obj={debug if debug.exists() else image}",
             "--output-style=JSON"],
            # A session of its own: the terminal's Ctrl-C is not for it.
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()

    def explain(self, line):
        """The lines to show behind this one."""
        lines = []
        for offset, absolute in ADDRESS.findall(line):
            at = self.image.begin + int(offset, 16) if offset else int(absolute, 16)
            if self.image.begin <= at < self.image.end:
                # A return address: what matters is the call before it.
                back = 1 if "called from" in line else 0
                lines += self.places(at - back)
        return lines

    def places(self, address):
        """Where an address lies: the function, and those that it was inlined into."""
        if self.ended:
            return []
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{address:#x}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            self.ended = True
            return ["    (llvm-symbolizer has ended)"]
        found = []
        for frame in json.loads(answer).get("Symbol", []):
            name, file, number = (frame.get(key) for key in ("FunctionName", "FileName", "Line"))
            if not name and not file:
                continue
            verb = "in" if not found else "inlined into"
            where = f" at {shorten(file)}:{number}" if file and number else ""
            found.append(f"    {verb} {name or '?'}{where}")
        return found


def shorten(file):
    """Files of ours from the root of the project."""
    file = str(pathlib.PurePath(file))
    for base in (f"{ROOT}/", "./"):
        if file.startswith(base):
            return file[len(base):]
    return file
