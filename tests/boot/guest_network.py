"""The host's side of an image on a network: QEMU's own (slirp) or a TAP device, and what is said to the image over it."""
import ctypes
import os
import re
import socket
import struct
import subprocess
import threading
import time

from guest import ERRORS, MODERN, Guest, pattern

ECHO, END = 7, 9  # ports of the image
CALLED = 8  # a port of the host's


class GuestNetwork(Guest):
    more = []
    netdev = "net0"
    part = ""  # with which the image's addresses begin there
    forwards = ",".join(f"hostfwd={kind}:127.0.0.1:0-:{port}"
                        for kind, port in (("tcp", ECHO), ("udp", ECHO), ("tcp", END)))

    def options(self):
        return self.on(f"user,id=net0,{self.forwards}")

    def on(self, net):
        return ["-netdev", net, "-device", f"{self.card},netdev=net0", *MODERN, *self.monitor_options()]

    def find_ports(self):
        """The host's port for each of the image's."""
        text = self.monitor.ask("human-monitor-command", **{"command-line": "info usernet"})
        self.at = {(kind, int(guest)): ("127.0.0.1", int(host)) for kind, host, to, guest in
                   re.findall(r"(\w+)\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+(\S+)\s+(\d+)", text)
                   if to.startswith(self.part)}

    # Until the image is asked to end.
    def talk(self, first):
        try:
            if first:
                self.connect_monitor()
                self.find_ports()
            for exchange in self.exchanges():
                exchange(self)
        except ERRORS as error:
            self.fail(error)
        try:
            self.connect(END).close()
        except (OSError, AttributeError, KeyError) as error:
            self.failures.append(f"it could not be asked to end: {error}")

    def exchanges(self):
        all_of_them = [one_byte, one_megabyte, many_connections, aborted_connection, datagrams, *self.more]
        # QEMU 7.2 miscounts what it drops from a packed ring while the link is down, and never
        # sends anything again (virtqueue_packed_drop_all: its inuse becomes 2^32 - 1).
        return all_of_them + ([] if "packed=on" in self.card else [link_down_and_up])

    def connect(self, port=ECHO):
        connection = socket.create_connection(self.at["TCP", port], timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if port == ECHO:
            # QEMU has accepted it, and the image has, too.
            connection.sendall(b"?")
            assert connection.recv(1) == b"?"
        return connection


class SeveralNetworks(GuestNetwork):
    """Of each card one of its own: 10.0.2.0/24, 10.0.3.0/24 and so on. The last is tried, and meanwhile the first."""

    def __init__(self, cards):
        super().__init__(cards[-1])
        self.cards = cards
        self.netdev = f"net{len(cards) - 1}"

    def options(self):
        line = [*MODERN, *self.monitor_options()]
        # QEMU gives the first device the last of the slots of MMIO.
        for i, card in sorted(enumerate(self.cards), reverse="-device" in self.card):
            line += ["-netdev", f"user,id=net{i},net=10.0.{2 + i}.0/24,{self.forwards}",
                     "-device", f"{card},netdev=net{i}"]
        return line

    def exchanges(self):
        return [one_byte, one_megabyte, datagrams, the_first_goes_on]

    def find_ports(self):
        self.use_first(False)

    def use_first(self, wanted):
        self.part = f"10.0.{2 if wanted else 1 + len(self.cards)}."
        super().find_ports()


class TapNetwork(GuestNetwork):
    """A TAP device with several queues in a network namespace of this process's own, which it enters. The image is
    at 10.0.2.15."""

    def __init__(self, card, queues):
        super().__init__(card)
        self.queues = queues
        self.more = [spread]
        clone_newnet = 0x40000000
        if ctypes.CDLL(None, use_errno=True).unshare(clone_newnet) != 0:
            raise PermissionError("no network namespace can be had")
        if not os.path.exists("/dev/net/tun"):
            raise PermissionError("/dev/net/tun is missing")
        several = "multi_queue" if queues > 1 else ""
        for words in (f"tuntap add tap0 mode tap {several}", "addr add 10.0.2.2/24 dev tap0", "link set tap0 up"):
            done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise PermissionError(f"ip {words}: {done.stderr.strip()}")
        # For an image that calls.
        self.called = socket.create_server(("10.0.2.2", CALLED), backlog=64)
        threading.Thread(target=self.answer_calls, daemon=True).start()

    def answer_calls(self):
        while True:
            connection = self.called.accept()[0]
            connection.sendall(connection.recv(1))
            connection.close()

    def options(self):
        # No vhost: QEMU itself moves the packets.
        several = f",queues={self.queues}" if self.queues > 1 else ""
        return self.on(f"tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off{several}")

    def find_ports(self):
        self.at = {key: ("10.0.2.15", key[1]) for key in (("TCP", ECHO), ("UDP", ECHO), ("TCP", END))}


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


def spread(network):
    """That one of four cores has none of them happens once in 10^12 machines."""
    connections = [network.connect() for _ in range(100)]
    for connection in connections:
        connection.sendall(b"again")
    for connection in connections:
        assert connection.recv(5, socket.MSG_WAITALL) == b"again"
        connection.close()


def aborted_connection(network):
    connection = network.connect()
    connection.sendall(pattern(100_000, 2))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    one_byte(network)


def datagrams(network):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(20)
        sender.connect(network.at["UDP", ECHO])
        for size in (0, 1, 1400, 1472):
            sender.send(pattern(size, 3))
            assert sender.recv(65536) == pattern(size, 3), f"a datagram of {size} bytes"


def the_first_goes_on(network):
    """While the last has no link."""
    network.monitor.ask("set_link", name=network.netdev, up=False)
    network.use_first(True)
    for exchange in one_byte, one_megabyte, datagrams:
        exchange(network)
    network.monitor.ask("set_link", name=network.netdev, up=True)
    network.use_first(False)


def link_down_and_up(network):
    def cut():
        network.monitor.ask("set_link", name=network.netdev, up=False)
        time.sleep(0.2)
        network.monitor.ask("set_link", name=network.netdev, up=True)

    with network.connect() as connection:
        echo(connection, pattern(200_000, 4), cut)
