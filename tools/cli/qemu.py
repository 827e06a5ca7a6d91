"""QEMU's command line for an image, and what its exit status says of the machine."""
import fcntl
import os
import shutil
import stat
import struct

from cli.common import Failed

MACHINES = ("qemu-x86_64", "qemu-riscv64")
# As in lichen/hal/bare/boot.cpp. What is much longer QEMU lays over what it tells of the memory.
LONGEST_LINE = 2047
RISCV_MEMORY = 0x80000000  # where that of `virt` begins


def target_of(machine):
    return machine.removeprefix("qemu-")


def least_memory(machine, image):
    """MiB with which QEMU and its firmware leave the image as it is: with less it hangs or resets before it can say
    so, or QEMU refuses with words about ROMs. An app wants more than that."""
    if machine == "qemu-x86_64":  # the firmware's tables lie in what is next to the end
        return -(-(image.memory_end + (512 << 10)) >> 20)
    # The device tree begins at the last multiple of 2 MiB below the end.
    return (image.memory_end - RISCV_MEMORY + (2 << 20) - 1 >> 21) * 2 + 1


def command(machine, image, words, cores=1, memory=128, port=None, disks=()):
    """`memory`: MiB, or with a unit. `port`: of 127.0.0.1, which leads to the same port of the machine,
    or such a pair. `disks`: files, read-only ones with :ro behind."""
    check_words(words)
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
    # QEMU gives the first device the last of the slots of MMIO.
    for number, name in sorted(enumerate(disks), reverse=machine == "qemu-riscv64"):
        line += disk(machine, number, name)
    return line


def check_words(words):
    if any(not word or not word.isprintable() or " " in word for word in words):
        raise Failed("the loader's command line has no quotes: no word may be empty, have a space or what "
                     "cannot be printed", 2)
    if len(" ".join(words).encode()) > LONGEST_LINE:
        raise Failed(f"the loader's command line has at most {LONGEST_LINE} bytes: these words are more",
                     2)


def file_of_disk(name):
    """Its path, and whether it is only read."""
    return name.removesuffix(":ro"), name.endswith(":ro")


def disk(machine, number, name):
    check_disk(name)
    path, read_only = file_of_disk(name)
    device = "virtio-blk-pci,disable-legacy=on" if machine == "qemu-x86_64" else "virtio-blk-device"
    escaped = path.replace(",", ",,")
    return ["-drive", f"if=none,id=disk{number},format=raw,discard=unmap,file={escaped}"
            + (",readonly=on" if read_only else ""),
            # When the host has no room it is told, instead of being stopped without a word.
            "-device", f"{device},drive=disk{number},werror=report"]


def check_disks(names):
    files = [os.path.realpath(file_of_disk(name)[0]) for name in names]
    for name, file in zip(names, files):
        check_disk(name)
        path, read_only = file_of_disk(name)
        if not read_only and files.count(file) > 1:
            raise Failed(f"--disk {path}: it is given twice; only with :ro can it be several disks", 2)


def check_disk(name):
    """What would go wrong is said before QEMU says it in its own words."""
    path, read_only = file_of_disk(name)
    def fail(why, status=2):
        raise Failed(f"--disk {path}: {why}", status)
    if not path:
        fail("FILE or FILE:ro is wanted")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        fail(f"there is no such file; `truncate -s 64M {path}` makes one")
    except OSError as why:
        fail(why.strerror)
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        fail("it is neither a file nor a block device")
    try:
        with open(path, "rb" if read_only else "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            taken = is_taken(file, read_only)
    except OSError as why:
        fail(f"it cannot be opened ({why.strerror})" + ("" if read_only else f"; {path}:ro only reads it"), 1)
    if size == 0:
        fail(f"it has no bytes; `truncate -s 64M {path}` gives it some")
    if size % 512 != 0:
        fail("a disk has sectors of 512 bytes, and the last one is not whole")
    if taken:
        fail("another machine has it (QEMU, or another Lichen); end that one first", 1)


def is_taken(file, read_only):
    """By the locks that QEMU and Lichen's own disks hold (lichen/driver/linux/disk.cpp): byte 101 of who
    writes, byte 201 of who lets nobody else write."""
    for byte in (101,) if read_only else (101, 201):
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        try:
            kind = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_OFD_GETLK, lock))[0]
        except OSError:  # of a file system without locks nobody can tell
            return False
        if kind != fcntl.F_UNLCK:
            return True
    return False


def status_of(machine, code):
    """The status that the machine gave, or None: QEMU itself failed or was ended."""
    if code < 0:
        return None
    if machine == "qemu-x86_64":  # isa-debug-exit makes 2 v + 1 of v
        return (code - 1) // 2 if code % 2 == 1 else None
    return code
