"""What of an ELF file tells where its code lies (System V ABI, 64 bits, little endian)."""
import dataclasses
import os
import struct

from cli.common import Failed

MACHINES = {62: "x86_64", 243: "riscv64"}  # e_machine
LOAD = 1  # p_type


@dataclasses.dataclass
class Image:
    target: str
    begin: int  # of what is loaded, as it sees itself
    end: int
    memory_end: int  # and where that lies in memory


def read(path):
    try:
        with open(path, "rb") as file:
            header = file.read(64)
            if header[:6] != b"\x7fELF\x02\x01":
                raise Failed(f"{path} is no image: not an ELF file of 64 bits")
            machine = struct.unpack_from("<H", header, 18)[0]
            table, = struct.unpack_from("<Q", header, 32)
            size, count = struct.unpack_from("<HH", header, 54)
            if table > file.seek(0, os.SEEK_END):
                raise Failed(f"{path} is no image: it ends before its headers do")
            file.seek(table)
            entries = file.read(size * count)
    except struct.error as why:
        raise Failed(f"{path} is no image: it ends before its headers do") from why
    except OSError as why:
        raise Failed(f"{path}: {why.strerror}") from why
    segments = []
    for at in range(0, len(entries) - 55, max(size, 1)):
        kind, _, _, address, physical, _, length = struct.unpack_from("<IIQQQQQ", entries, at)
        if kind == LOAD:
            segments.append((address, address + length, physical + length))
    if machine not in MACHINES or not segments:
        raise Failed(f"{path} is no image for a machine that Lichen knows")
    return Image(MACHINES[machine], min(begin for begin, _, _ in segments),
                 max(end for _, end, _ in segments), max(end for _, _, end in segments))
