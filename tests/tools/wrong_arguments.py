#!/usr/bin/env python3
"""What ./run, ./test, tools/lichen and bench/run say to arguments that cannot be meant, before they build
anything: the reason, exit status 2, and never a trace of their own insides.

  wrong_arguments.py ROOT     ROOT: the repository
"""
import os
import pathlib
import subprocess
import sys
import tempfile

LONG = "a" * 300  # no file system takes such a name
IMAGE = ("tools/lichen", "image")
HELLO = (*IMAGE, "apps/hello", "--target", "x86_64")
BOOT = ("tools/lichen", "boot", "apps/hello", "--on", "qemu-x86_64")

# The command, and what it has to say.
REFUSED = (
    ((*IMAGE, "", "--target", "x86_64"), "the app's folder is wanted"),
    ((*IMAGE, "{}/empty", "--target", "x86_64"), "there is no CMakeLists.txt in such a folder"),
    ((*IMAGE, "{}/no app", "--target", "x86_64"), "no lichen_app(no app ...)"),
    ((*IMAGE, "{}/file", "--target", "x86_64"), "is no app"),
    ((*IMAGE, LONG, "--target", "x86_64"), "is no app: File name too long"),
    ((*IMAGE, "apps/hello", "--target", "arm"), "invalid choice"),
    ((*HELLO, "--files", ""), "--files: a folder is wanted"),
    ((*HELLO, "--files", "{}/file"), "there is no such folder"),
    ((*HELLO, "--files", LONG), "there is no such folder"),
    ((*HELLO, "--out", ""), "--out: the name of a file is wanted"),
    ((*HELLO, "--out", "{}"), "there is something that is no file"),
    ((*HELLO, "--out", "{}/file/image"), "cannot be written"),
    ((*HELLO, "--out", LONG), "cannot be written"),
    ((*HELLO, "--", "word"), "words behind -- are for"),
    ((*BOOT, "--cores", "0"), "--cores 0: a number from 1 to 64"),
    ((*BOOT, "--cores", "99999999999999999999"), "a number from 1 to 64"),
    ((*BOOT, "--memory", "-5"), "--memory -5: a number of MiB from 1"),
    ((*BOOT, "--memory", "99999999999999999999"), "a number of MiB from 1"),
    ((*BOOT, "--port", "65536"), "a number from 0 to 65535"),
    ((*BOOT, "--port", "\u0667\u0668\u0669\u0660\u0660\u0660"), "a number from 0 to 65535"),
    ((*BOOT, "--seconds", "nan"), "--seconds nan: a number from 0"),
    ((*BOOT, "--seconds", "-1"), "a number from 0"),
    ((*BOOT, "--disk", ""), "FILE or FILE:ro is wanted"),
    ((*BOOT, "--disk", ":ro"), "FILE or FILE:ro is wanted"),
    ((*BOOT, "--disk", "{}/nothing"), "there is no such file"),
    ((*BOOT, "--disk", "{}/disk", "--disk", "{}/./disk:ro"), "it is given twice"),
    ((*BOOT, "--disk", "{}"), "neither a file nor a block device"),
    ((*BOOT, "--disk", "/dev/full"), "neither a file nor a block device"),
    ((*BOOT, "--files", "{}/nothing"), "there is no such folder"),
    ((*BOOT, "--", "two words"), "no word may be empty"),
    ((*BOOT, "--", b"\xff"), "no word may be empty"),
    ((*BOOT, "--", "a" * 2048), "at most 2047 bytes"),
    (("./run", "--on", "arm"), "qemu-x86_64 or qemu-riscv64 is wanted"),
    (("./run", "--port"), "--port: a value is missing"),
    (("./run", "--cores", ""), "--cores: a value is missing"),
    (("./run", "--root", ""), "--root: a value is missing"),
    (("./run", "--disk"), "--disk: a value is missing"),
    (("./test", "--preset", "none"), "--preset wants"),
    (("./test", "--fuzz-seconds", "9" * 30), "--fuzz-seconds wants a number"),
    (("./test", "--sim-seed", "-1"), "--sim-seed wants a number"),
    (("./test", ""), "not understood"),
    (("bench/run", "--only", "nothing"), "no benchmark is named nothing"),
    (("bench/run", "--rounds", "0"), "--rounds wants a number from 1 on"),
    (("bench/run", "--frames", "-1"), "--frames wants a number from 1 on"),
    (("bench/run", "--json", "{}/nothing/file"), "--json"),
    (("bench/run", "--build", "{}/nothing"), "there is no such folder"),
)


def main(root):
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        (place / "file").touch()
        (place / "disk").write_bytes(bytes(512))
        (place / "empty").mkdir()
        (place / "no app").mkdir()
        (place / "no app/CMakeLists.txt").write_bytes(b"\xff\xfe lichen_app(other)\n")
        for words, reason in REFUSED:
            line = [word if isinstance(word, bytes) else word.replace("{}", folder) for word in words]
            done = subprocess.run(line, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True, errors="replace", check=False,
                                  timeout=60, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
            if done.returncode != 2 or reason not in done.stderr or "Traceback" in done.stderr:
                failed += 1
                print(f"{line}\n  ended with {done.returncode}, and said: {done.stderr}")
    print(f"{len(REFUSED)} tried, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
