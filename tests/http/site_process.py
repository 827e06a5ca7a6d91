"""A site that runs, and raw connections to it."""

import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time

PATIENCE = 40  # seconds for anything that has to happen at all; no check depends on less
C = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


def wait_for(what, probe):
    """Calls probe until it returns something true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = probe()
        if result:
            return result
        time.sleep(0.02)
    raise Failed(f"waited too long for {what}")


def die_with_us():
    """In a child: it does not outlive this program, not even when that is killed."""
    set_death_signal = 1
    C.prctl(set_death_signal, signal.SIGKILL)


class Response:
    def __init__(self, status, fields, content, whole):
        self.status = status
        self.fields = fields  # names in lower case
        self.content = content
        self.whole = whole  # false: the connection ended before the content did


class Connection:
    """One raw connection: sends any bytes, reads responses one after the other."""

    def __init__(self, port, receive_buffer=None, host="127.0.0.1"):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((host, port))
        self.received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False when the other end is gone."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def receive_more(self):
        """From now on as much as it likes, whatever receive_buffer was."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def more(self):
        """False at the end of the stream, whether it was closed or reset."""
        try:
            piece = self.socket.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError):
            return False
        except TimeoutError:
            raise Failed(f"nothing came any more after {bytes(self.received[:200])!r}") from None
        self.received += piece
        return bool(piece)

    def rest(self):
        while self.more():
            pass
        return self.cut(len(self.received))

    def line(self):
        while b"\r\n" not in self.received:
            if not self.more():
                return None
        line = self.cut(self.received.index(b"\r\n"))
        self.cut(2)
        return line

    def cut(self, size):
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    def take(self, size):
        while len(self.received) < size and self.more():
            pass
        return self.cut(size)

    def response(self, head_only=False):
        """The next final response; None when the connection ended instead."""
        first = self.line()
        if first is None:
            return None
        match = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+", first)
        expect(match, f"this is no status line: {first[:100]!r}")
        status = int(match.group(1))
        fields = {}
        while True:
            line = self.line()
            expect(line is not None, f"the head of a {status} ended early")
            if not line:
                break
            name, value = line.decode().split(": ", 1)
            fields[name.lower()] = value
        if 100 <= status < 200:
            return self.response(head_only)
        if head_only or status in (204, 304):
            return Response(status, fields, b"", True)
        if fields.get("transfer-encoding") == "chunked":
            content = b""
            while True:
                size = self.line()
                if size is None:
                    return Response(status, fields, content, False)
                size = int(size, 16)
                if size == 0:
                    expect(self.line() == b"", "chunks end with an empty line")
                    return Response(status, fields, content, True)
                content += self.take(size)
                if self.line() != b"":
                    return Response(status, fields, content, False)
        size = int(fields["content-length"])
        content = self.take(size)
        return Response(status, fields, content, len(content) == size)

    def ask(self, path, fields="", method="GET"):
        self.send(request(path, fields, method))
        return self.response(head_only=method == "HEAD")

    def is_closed(self):
        return self.rest() == b""


def request(path, fields="", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode()


class Site:
    """The program, serving `root` on a free port until the end of the `with`. `host`: where it is
    to be found, which is the options' affair."""

    def __init__(self, program, root, *options, port=0, descriptors=None, host="127.0.0.1"):
        self.host = host
        self.log = tempfile.NamedTemporaryFile("r+", prefix="site-log-")

        def limit():
            die_with_us()
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.process = subprocess.Popen(
            [program, "--port", str(port), "--root", root, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log, preexec_fn=limit)

    def __enter__(self):
        def address():
            expect(self.process.poll() is None, f"the site did not start: {self.said()}")
            return re.search(rf"http://{re.escape(self.host)}:(\d+)/", self.said())

        try:
            self.port = int(wait_for("the site", address).group(1))
        except Failed:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()

    def said(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as log:
            return log.read()

    def connect(self, **options):
        return Connection(self.port, host=self.host, **options)

    def ask(self, path, fields="", method="GET"):
        with self.connect() as connection:
            return connection.ask(path, fields, method)

    def state(self):
        return json.loads(self.ask("/api/state").content)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def sockets_and_files(self):
        """How many descriptors are of what clients ask for. Rings, eventfds and pipes belong to the cores, which
        make them when they first need them."""
        folder, count = f"/proc/{self.process.pid}/fd", 0
        for descriptor in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                count += not os.readlink(f"{folder}/{descriptor}").startswith(("anon_inode:", "pipe:"))
        return count

    def settle(self):
        """Waits until nothing is connected but the one that asks, and tells the state then."""
        def alone():
            state = self.state()
            return state["http"]["open"] == 1 and state

        return wait_for("all connections to end", alone)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self):
        """Its exit status, once it has ended by itself."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"the site did not end: {self.said()}") from None

    def stop(self):
        self.interrupt()
        status = self.end()
        expect(status == 0, f"the site ended with {status}: {self.said()}")


@contextlib.contextmanager
def running(world, *options, begun=None, **more):
    """A site, once `begun(site)` is true; at the end nothing is left of what its clients did, and it stops in an
    orderly way."""
    with Site(world.program, world.root, *options, **more) as site:
        if begun:
            wait_for("what it does by itself", lambda: begun(site))
        before, descriptors = site.settle(), site.sockets_and_files()
        yield site
        after = site.settle()
        wait_for("descriptors to be closed", lambda: site.sockets_and_files() <= descriptors)
        expect(after["tasks"] <= before["tasks"], f"tasks: {before['tasks']}, then {after['tasks']}")
        for name in ("sockets", "buffers_in_use"):
            was, now = (sum(core[name] for core in state["cores"]) for state in (before, after))
            expect(now <= was, f"{name}: {was}, then {now}")
        site.stop()
