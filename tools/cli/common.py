"""What the commands share: where things lie, how they fail, running what builds."""
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = ("x86_64", "riscv64")


class Failed(Exception):
    """Told to whoever asked, in plain words, with the exit status."""

    def __init__(self, why, status=1):
        super().__init__(why)
        self.status = status


def tool(name):
    """A tool of LLVM 19, under the name that this system gives it."""
    for candidate in (f"{name}-19", name):
        if path := shutil.which(candidate):
            return path
    raise Failed(f"{name} is not installed; `tools/setup image` installs it", 3)


def set_up():
    """Installs what images need and is missing."""
    done = subprocess.run([ROOT / "tools/setup", "image"], check=False)
    if done.returncode != 0:
        raise Failed("what images need is not there (see above)", 3)
