"""The Linux guest's memory disk (a cpio archive as the kernel takes it, format newc)."""

import os
import re
import subprocess

FILE, FOLDER, LINK = 0o100000, 0o040000, 0o120000


class Archive:
    def __init__(self, target):
        self.target = target
        self.inodes = 0
        self.there = set()

    def add(self, path, mode, content=b""):
        parent = os.path.dirname(path)
        if parent and parent not in self.there:
            self.add(parent, FOLDER | 0o755)
        self.there.add(path)
        self.inodes += 1
        name = path.encode() + b"\0"
        numbers = (self.inodes, mode, 0, 0, 2 if mode & FOLDER else 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        self.target.write(b"070701" + b"".join(b"%08X" % number for number in numbers))
        self.target.write(name + bytes(-(110 + len(name)) % 4))
        self.target.write(content + bytes(-len(content) % 4))

    def add_file(self, path, source, executable=False):
        with open(source, "rb") as file:
            self.add(path, FILE | (0o755 if executable else 0o644), file.read())

    def end(self):
        self.add("TRAILER!!!", 0)


def needed_by(program):
    """The libraries that an ELF file names, and who loads it."""
    words = subprocess.run(["readelf", "-dlW", program], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"\(NEEDED\).*\[(.*)\]", words)
    loader = re.search(r"program interpreter: (.*)\]", words)
    return names, loader[1] if loader else None


def find_library(root, name):
    for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64"):
        path = os.path.join(root, folder, name)
        if os.path.exists(path):
            return os.path.realpath(path)
    raise RuntimeError(f"no package in bench/guest/fetch has {name}")


def add_programs(archive, root, programs):
    """Programs ({path in the guest: path here}) with all their libraries."""
    libraries, to_read = {}, list(programs.values())
    while to_read:
        names, loader = needed_by(to_read.pop())
        if loader:
            archive_path = loader.lstrip("/")
            if archive_path not in libraries:
                libraries[archive_path] = find_library(root, os.path.basename(loader))
        for name in names:
            path = f"lib/x86_64-linux-gnu/{name}"
            if path not in libraries:
                libraries[path] = find_library(root, name)
                to_read.append(libraries[path])
    for path, source in [*libraries.items(), *programs.items()]:
        archive.add_file(path, source, executable=True)


def module_order(root):
    """The kernel's modules that are wanted, each after those that it needs, with their paths here."""
    found = {}
    for folder, _, files in os.walk(os.path.join(root, "lib/modules")):
        for name in files:
            found[name.removesuffix(".ko").replace("-", "_")] = os.path.join(folder, name)
    order = []

    def add(name):
        if name in order or name not in found:  # what is not there is built in
            return
        with open(found[name], "rb") as file:
            depends = re.search(rb"\0depends=([^\0]*)\0", file.read())
        for needed in depends[1].decode().split(",") if depends else []:
            add(needed)
        order.append(name)

    for name in ("virtio_pci", "virtio_net", "virtio_blk"):
        add(name)
    return [(name, found[name]) for name in order]


def make(path, root, here, programs, files, nginx_conf):
    """Writes the archive. `root`: the unpacked packages; `here`: the folder of init; `programs`: ours,
    {name: path}; `files`: a folder that is served, and nginx_conf how nginx does it; both may be None."""
    with open(path + ".new", "wb") as target:
        archive = Archive(target)
        for folder in ("proc", "sys", "dev", "tmp", "run", "var/log/nginx", "var/lib/nginx"):
            archive.add(folder, FOLDER | 0o755)
        archive.add_file("init", os.path.join(here, "init"), executable=True)
        archive.add_file("bin/busybox", os.path.join(root, "bin/busybox"), executable=True)
        order = module_order(root)
        for name, source in order:
            archive.add_file(f"lib/modules/{name}.ko", source)
        archive.add("lib/modules/order", FILE | 0o644,
                    "".join(f"/lib/modules/{name}.ko\n" for name, _ in order).encode())
        ours = {f"srv/{name}": source for name, source in programs.items()}
        if nginx_conf:
            ours["usr/sbin/nginx"] = os.path.join(root, "usr/sbin/nginx")
            archive.add("etc/nginx.conf", FILE | 0o644, nginx_conf.encode())
        add_programs(archive, root, ours)
        for name in sorted(os.listdir(files)) if files else ():
            archive.add_file(f"srv/www/{name}", os.path.join(files, name))
        archive.add("etc/passwd", FILE | 0o644, b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
        archive.add("etc/group", FILE | 0o644, b"root:x:0:\nnogroup:x:65534:\n")
        archive.end()
    os.rename(path + ".new", path)
