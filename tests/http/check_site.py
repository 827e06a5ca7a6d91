#!/usr/bin/env python3
"""check_site.py SITE [NAME...]: runs the site and lets its clients at it, well-behaved and hostile
ones. Every check is a function check_NAME(world) of the modules below; those that mostly wait run at
the same time as the others, on sites of their own."""

import concurrent.futures
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True

import faults
import files
import hostile
import slow
import watching
from site_process import Failed

DIGITS = "0123456789" * 100


class World:
    """The program, and a folder made for the test with a secret beside it."""

    def __init__(self, program):
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="lichen-site-")
        self.root = os.path.join(self.folder, "root")
        self.big_size = 16 << 20
        os.makedirs(os.path.join(self.root, "sub", "deep"))
        self.write("a.txt", DIGITS)
        self.write("index.html", "<p>home</p>\n")
        self.write("sub/index.html", "<p>sub</p>\n")
        self.write("sub/b.txt", "below")
        self.write("sub/deep/c d.txt", "spaced")
        self.write("empty", "")
        self.write(".hidden", "hidden")
        self.write("../secret", "SECRET")
        self.write("../root-beside/secret", "SECRET")
        self.write("big.bin", "b" * self.big_size)
        for name, target in (("inside", "a.txt"), ("climbs", "../secret"), ("folder", ".."),
                             ("absolute", "/etc/passwd"), ("loop", "loop"),
                             ("own", os.path.join(self.root, "a.txt"))):
            os.symlink(target, os.path.join(self.root, name))
        os.mkfifo(os.path.join(self.root, "pipe"))

    def write(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


def checks(module):
    return [value for name, value in vars(module).items() if name.startswith("check_")]


def main():
    program, *names = sys.argv[1:]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    world = World(os.path.abspath(program))
    failed = 0
    try:
        def run(check):
            began = time.monotonic()
            try:
                check(world)
                outcome = None
            except Failed as reason:
                outcome = str(reason)
            except Exception:
                outcome = traceback.format_exc()
            return outcome, time.monotonic() - began

        def wanted(module):
            return [check for check in checks(module) if not names or check.__name__[6:] in names]

        def tell(check, outcome, seconds):
            verdict = "ok" if outcome is None else f"FAILED: {outcome}"
            print(f"{check.__name__[6:]:40} {seconds:5.1f} s  {verdict}", flush=True)
            return outcome is not None

        with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
            waiting = [(check, pool.submit(run, check)) for check in wanted(slow)]
            for module in (files, hostile, faults, watching):
                for check in wanted(module):
                    failed += tell(check, *run(check))
            for check, result in waiting:
                failed += tell(check, *result.result())
    finally:
        shutil.rmtree(world.folder, ignore_errors=True)
    sys.exit(f"check_site: {failed} failed" if failed else 0)


main()
