"""The host's side of an image with a port of a virtio console that has a name."""
import socket
import threading

from guest import MODERN, Guest, pattern


class GuestPort(Guest):
    """`card`: the device that the ports are on."""

    # One that is not used comes before the one that is.
    def options(self):
        return ["-device", self.card, *MODERN,
                "-chardev", "null,id=nobody", "-device", "virtserialport,chardev=nobody,name=org.lichen.other",
                "-chardev", f"socket,id=port,path={self.path('port')},server=on,wait=off",
                "-device", "virtserialport,chardev=port,name=org.lichen.echo"]

    def talk(self, first):
        data = pattern(200_000, 5)
        with socket.socket(socket.AF_UNIX) as port:
            port.settimeout(20)
            port.connect(self.path("port"))
            sender = threading.Thread(target=port.sendall, args=(data,))
            sender.start()
            came = bytearray()
            while len(came) < len(data) and (piece := port.recv(65536)):
                came += piece
            sender.join()
            assert bytes(came) == data, f"of {len(data)} bytes {len(came)} came back, or others"
