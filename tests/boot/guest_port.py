"""The host's side of an image with a port of a virtio console that has a name."""
import os
import socket
import tempfile
import threading

from guest_network import pattern


class GuestPort:
    """`card`: the device that the ports are on, as QEMU takes it."""

    def __init__(self, card):
        self.card = card
        self.folder = tempfile.TemporaryDirectory(prefix="lichen-boot-")
        self.path = os.path.join(self.folder.name, "port")
        self.failures = []
        self.talks = 0

    # One that is not used comes before the one that is.
    def options(self):
        return ["-device", self.card, "-global", "virtio-mmio.force-legacy=false",
                "-chardev", "null,id=nobody", "-device", "virtserialport,chardev=nobody,name=org.lichen.other",
                "-chardev", f"socket,id=port,path={self.path},server=on,wait=off",
                "-device", "virtserialport,chardev=port,name=org.lichen.echo"]

    def close(self):
        self.folder.cleanup()

    def talk(self):
        data = pattern(200_000, 5)
        try:
            with socket.socket(socket.AF_UNIX) as port:
                port.settimeout(20)
                port.connect(self.path)
                sender = threading.Thread(target=port.sendall, args=(data,))
                sender.start()
                came = bytearray()
                while len(came) < len(data) and (piece := port.recv(65536)):
                    came += piece
                sender.join()
                assert bytes(came) == data, f"of {len(data)} bytes {len(came)} came back, or others"
        except (OSError, AssertionError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    def start(self):
        self.talks += 1
        threading.Thread(target=self.talk, daemon=True).start()
