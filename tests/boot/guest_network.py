"""The host's side of an image on a network: QEMU's own (slirp), and what is said to the image over it."""
import hashlib
import json
import os
import re
import socket
import struct
import tempfile
import threading
import time

ECHO, END = 7, 9  # ports of the image
READY = r"^info: ready$"  # what it says


class GuestNetwork:
    """`card`: the device's name and properties as QEMU takes them."""

    def __init__(self, card):
        self.card = card
        self.folder = tempfile.TemporaryDirectory(prefix="lichen-boot-")
        self.monitor_path = os.path.join(self.folder.name, "monitor")
        self.failures = []
        self.talks = 0

    def options(self):
        forwards = ",".join(f"hostfwd={kind}:127.0.0.1:0-:{port}"
                            for kind, port in (("tcp", ECHO), ("udp", ECHO), ("tcp", END)))
        return ["-netdev", f"user,id=net0,{forwards}", "-device", f"{self.card},netdev=net0",
                "-global", "virtio-mmio.force-legacy=false",
                "-qmp", f"unix:{self.monitor_path},server=on,wait=off"]

    def close(self):
        self.folder.cleanup()

    # Until the image is asked to end. In a thread of its own.
    def talk(self):
        try:
            if self.talks == 1:
                self.monitor = Monitor(self.monitor_path)
                self.ports = self.monitor.forwards()
            exchanges = [one_byte, one_megabyte, many_connections, aborted_connection, datagrams]
            # QEMU 7.2 miscounts what it drops from a packed ring while the link is down, and never
            # sends anything again (virtqueue_packed_drop_all: its inuse becomes 2^32 - 1).
            if "packed=on" not in self.card:
                exchanges.append(link_down_and_up)
            for exchange in exchanges:
                exchange(self)
        except (OSError, ValueError, AssertionError, KeyError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        try:
            self.connect(END).close()
        except (OSError, AttributeError, KeyError) as error:
            self.failures.append(f"it could not be asked to end: {error}")

    # Each time the image says that it is ready.
    def start(self):
        self.talks += 1
        self.thread = threading.Thread(target=self.talk, daemon=True)
        self.thread.start()

    def connect(self, port=ECHO):
        connection = socket.create_connection(("127.0.0.1", self.ports["TCP", port]), timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if port == ECHO:
            # QEMU has accepted it, and the image has, too.
            connection.sendall(b"?")
            assert connection.recv(1) == b"?"
        return connection


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

    def forwards(self):
        """The host's port for each of the image's."""
        text = self.ask("human-monitor-command", **{"command-line": "info usernet"})
        return {(kind, int(guest)): int(host) for kind, host, guest in
                re.findall(r"(\w+)\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)", text)}


def pattern(size, seed):
    """Bytes that do not repeat, the same each time."""
    blocks = (hashlib.sha256(struct.pack("<II", seed, i)).digest() for i in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def receive_all(connection):
    data = bytearray()
    while piece := connection.recv(65536):
        data += piece
    return bytes(data)


def echo(connection, data, half_way=lambda: None):
    """Sends all while it reads what comes back, and ends the direction."""
    answers = []
    reader = threading.Thread(target=lambda: answers.append(receive_all(connection)))
    reader.start()
    connection.sendall(data[:len(data) // 2])
    half_way()
    connection.sendall(data[len(data) // 2:])
    connection.shutdown(socket.SHUT_WR)
    reader.join()
    came = answers[0] if answers else b""
    assert came == data, f"of {len(data)} bytes {len(came)} came back, or others"


def one_byte(network):
    with network.connect() as connection:
        for byte in (b"a", b"b"):
            connection.sendall(byte)
            assert connection.recv(1) == byte
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def one_megabyte(network):
    with network.connect() as connection:
        echo(connection, pattern(1 << 20, 1))


def many_connections(network):
    # One after the other: QEMU has room for one that it has not accepted.
    connections = [network.connect() for _ in range(8)]
    failures = []

    def one(connection, seed):
        try:
            echo(connection, pattern(20_000 + seed, seed))
        except (OSError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(connection, seed))
               for seed, connection in enumerate(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert not failures, failures[0]


def aborted_connection(network):
    connection = network.connect()
    connection.sendall(pattern(100_000, 2))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    one_byte(network)


def datagrams(network):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(20)
        sender.connect(("127.0.0.1", network.ports["UDP", ECHO]))
        for size in (0, 1, 1400, 1472):
            sender.send(pattern(size, 3))
            assert sender.recv(65536) == pattern(size, 3), f"a datagram of {size} bytes"


def link_down_and_up(network):
    def cut():
        network.monitor.ask("set_link", name="net0", up=False)
        time.sleep(0.2)
        network.monitor.ask("set_link", name="net0", up=True)

    with network.connect() as connection:
        echo(connection, pattern(200_000, 4), cut)
