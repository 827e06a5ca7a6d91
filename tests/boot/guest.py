"""What the host does for an image that has a device to talk to it by."""
import hashlib
import json
import os
import socket
import struct
import tempfile
import threading

READY = r"^info: ready$"  # what the image says
ERRORS = (OSError, ValueError, AssertionError, KeyError)
MODERN = ["-global", "virtio-mmio.force-legacy=false"]  # devices of virtio 1


class Guest:
    """`card`: the device's name and properties as QEMU takes them."""

    def __init__(self, card):
        self.card = card
        self.folder = tempfile.TemporaryDirectory(prefix="lichen-boot-")
        self.failures = []
        self.talks = 0
        self.thread = None

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def close(self):
        self.folder.cleanup()

    def fail(self, error):
        self.failures.append(f"{type(error).__name__}: {error}")

    # Each time the image says that it is ready, in a thread of its own.
    def start(self):
        self.talks += 1
        self.thread = threading.Thread(target=self.try_it, args=(self.thread,), daemon=True)
        self.thread.start()

    def try_it(self, before):
        if before:
            before.join()  # it may still wait for what it asked for
        try:
            self.talk(first=before is None)
        except ERRORS as error:
            self.fail(error)

    # ---- QEMU's monitor

    def monitor_options(self):
        return ["-qmp", f"unix:{self.path('monitor')},server=on,wait=off"]

    def connect_monitor(self):
        self.monitor = Monitor(self.path("monitor"))


class Monitor:
    """QEMU's machine protocol."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self.lines.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise ValueError(f"{command}: {answer['error']['desc']}")


def pattern(size, seed):
    """Bytes that do not repeat, the same each time."""
    blocks = (hashlib.sha256(struct.pack("<II", seed, i)).digest() for i in range(size // 32 + 1))
    return b"".join(blocks)[:size]
