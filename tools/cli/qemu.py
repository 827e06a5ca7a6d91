"""QEMU's command line for an image, and what its exit status says of the machine."""
import shutil

from cli.common import Failed

MACHINES = ("qemu-x86_64", "qemu-riscv64")
# As in lichen/hal/bare/boot.cpp. What is much longer QEMU lays over what it tells of the memory.
LONGEST_LINE = 2047


def target_of(machine):
    return machine.removeprefix("qemu-")


def command(machine, image, words, cores=1, memory=128, port=None):
    """`memory`: MiB, or with a unit. `port`: of 127.0.0.1, which leads to the same port of the machine,
    or such a pair."""
    if any(" " in word or not word for word in words):
        raise Failed("the loader's command line has no quotes: no word may be empty or have a space", 2)
    if len(" ".join(words).encode()) > LONGEST_LINE:
        raise Failed(f"the loader's command line has at most {LONGEST_LINE} bytes: these words are more",
                     2)
    program = machine.replace("qemu-", "qemu-system-")
    if not shutil.which(program):
        raise Failed(f"{program} is not installed; `tools/setup image` installs it", 3)
    line = [program, "-accel", "tcg", "-m", str(memory), "-smp", str(cores),
            "-kernel", str(image), "-append", " ".join(words),
            "-display", "none", "-nodefaults", "-no-reboot",
            "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    if machine == "qemu-x86_64":
        line += ["-M", "q35", "-cpu", "max", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
        card, entropy = "virtio-net-pci,disable-legacy=on", None
    else:
        line += ["-M", "virt", "-cpu", "rv64", "-global", "virtio-mmio.force-legacy=false"]
        card, entropy = "virtio-net-device", "virtio-rng-device"
    if port is not None:
        outside, inside = port if isinstance(port, tuple) else (port, port)
        line += ["-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{outside}-:{inside}",
                 "-device", f"{card},netdev=net"]
        if entropy:  # the processor has none
            line += ["-device", entropy]
    return line


def status_of(machine, code):
    """The status that the machine gave, or None: QEMU itself failed or was ended."""
    if code < 0:
        return None
    if machine == "qemu-x86_64":  # isa-debug-exit makes 2 v + 1 of v
        return (code - 1) // 2 if code % 2 == 1 else None
    return code
