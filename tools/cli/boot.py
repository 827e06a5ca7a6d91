"""lichen boot: an image on a machine that QEMU emulates."""
import collections
import ctypes
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

from cli import elf, image, qemu
from cli.common import Failed, set_up
from cli.symbols import Symbols

DESCRIPTION = """Boots an app as an image of its own, or an image that is there already, under QEMU. Ends
with the machine's exit status; 130 if it was interrupted and had to be ended by force. Words behind -- are
for the app."""

PR_SET_PDEATHSIG = 1
GRACE = 10  # seconds that a machine has to end when it is asked to
AGAIN = 0.5  # seconds until it is asked again: its firmware loses what is typed
REQUESTS = (signal.SIGINT, signal.SIGTERM)
INTERRUPT = b"\x03"  # Ctrl-C on its console
MOST_CORES = 64  # of a Lichen machine
MOST_MEMORY = 1 << 20  # MiB
LONGEST = 86400  # seconds


def add_to(commands):
    parser = commands.add_parser("boot", help="boot an image under QEMU", description=DESCRIPTION)
    parser.add_argument("app", metavar="APP", help="the app's folder (it is built first), or an image")
    parser.add_argument("--on", choices=qemu.MACHINES, required=True)
    parser.add_argument("--port", type=int, metavar="N",
                        help="a network; the app is told --port N, and 127.0.0.1:N leads there "
                        "(0: any free port)")
    parser.add_argument("--cores", type=int, default=1, metavar="N")
    parser.add_argument("--memory", type=int, default=128, metavar="MIB")
    parser.add_argument("--disk", metavar="FILE", action="append", default=[],
                        help="a disk whose sectors are the bytes of that file or block device; FILE:ro: it cannot be "
                        "written. May be given several times. An app that is built here has the driver then")
    parser.add_argument("--files", metavar="DIR", help="as for `lichen image`")
    parser.add_argument("--seconds", type=float, default=30, metavar="S",
                        help="how long it may take to answer on its port (default 30)")
    parser.set_defaults(run=run)


def run(words):
    check(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    target = qemu.target_of(words.on)
    path = pathlib.Path(words.app)
    if path.is_file():
        if words.files:
            raise Failed("--files: the image is made already", 2)
    else:
        path = image.make(words.app, target, words.files, disks=bool(words.disk))
    read = elf.read(path)
    if read.target != target:
        raise Failed(f"{path} is for another processor than {words.on} has", 2)
    least = qemu.least_memory(words.on, read)
    if words.memory < least:
        raise Failed(f"--memory {words.memory}: {path} does not begin to run in less than {least} MiB", 2)
    options = list(words.words)
    if words.cores > 1:
        options = ["--cores", str(words.cores), *options]
    port = None
    if words.port is not None:
        port = free_port(words.port)
        options = ["--port", str(port), *options]
    line = qemu.command(words.on, path, options, words.cores, words.memory, port, words.disk)
    # A request to stop waits until there is a machine that can be asked.
    signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
    with Machine(line, words.on, path) as machine:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, REQUESTS)
            if port is not None and machine.wait_until_it_answers(port, words.seconds):
                print(f"http://127.0.0.1:{port}/ answers; Ctrl-C ends the machine", flush=True)
            return machine.wait()
        except KeyboardInterrupt:
            return machine.stop()


def check(words):
    """What can be told to be wrong before anything is built."""
    if not 1 <= words.cores <= MOST_CORES:
        raise Failed(f"--cores {words.cores}: a number from 1 to {MOST_CORES} is wanted", 2)
    if not 1 <= words.memory <= MOST_MEMORY:
        raise Failed(f"--memory {words.memory}: a number of MiB from 1 to {MOST_MEMORY} is wanted", 2)
    if words.port is not None and not 0 <= words.port <= 65535:
        raise Failed(f"--port {words.port}: a number from 0 to 65535 is wanted", 2)
    if not 0 <= words.seconds <= LONGEST:
        raise Failed(f"--seconds {words.seconds:g}: a number from 0 to {LONGEST} is wanted", 2)
    qemu.check_words(words.words)
    qemu.check_disks(words.disk)


def free_port(wanted):
    with socket.socket() as probe:
        # As a server does: connections that have ended do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as why:
            raise Failed(f"port {wanted} of 127.0.0.1 cannot be had ({why.strerror}); end the "
                         "program that has it, or choose another with --port") from why
        return probe.getsockname()[1]


def ends_with_us():
    """In a child: QEMU does not outlive this program, not even when it is killed."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, REQUESTS)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    """A machine that runs, whose console is shown."""

    def __init__(self, line, kind, path):
        self.kind = kind
        self.symbols = Symbols(path)
        self.latest = collections.deque(maxlen=25)
        self.spoke = False  # of its own: QEMU's words are no machine's
        self.answered = False
        self.unheard = False  # nobody reads what it says
        # A session of its own: the terminal's Ctrl-C is for us.
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True,
                                        preexec_fn=ends_with_us)
        self.readers = [threading.Thread(target=self.read_console, daemon=True),
                        threading.Thread(target=self.read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        self.symbols.__exit__()

    def read_console(self):
        try:
            self.show_console()
        except OSError:  # a pipe that is closed, a disk that is full
            self.unheard = True
            self.process.kill()

    def show_console(self):
        firmware = False
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip("\r\n")
            self.latest.append(line)
            # OpenSBI tells a page about itself.
            if line.startswith("OpenSBI v"):
                firmware = True
            if firmware:
                firmware = not line.startswith("Boot HART MEDELEG")
                continue
            if not line and not self.spoke:
                continue
            self.spoke = True
            print("\n".join([line, *self.symbols.explain(line)]), flush=True)

    def read_errors(self):
        for raw in self.process.stderr:
            line = raw.decode(errors="replace").rstrip()
            self.latest.append(line)
            print(line, file=sys.stderr, flush=True)

    def wait_until_it_answers(self, port, seconds):
        """False: the machine has ended meanwhile."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if answers(port):
                self.answered = True
                return True
            if time.monotonic() > deadline:
                raise Failed(f"nothing has answered on port {port} for {seconds:g} s. "
                             f"What the machine said last:\n{self.last_words()}")
            time.sleep(0.05)
        return False

    def last_words(self):
        return "\n".join(f"  {line}" for line in self.latest) or "  (nothing)"

    def wait(self):
        code = self.process.wait()
        for reader in self.readers:
            reader.join()
        if self.unheard:
            raise Failed("nobody reads what the machine says; it was switched off")
        status = qemu.status_of(self.kind, code)
        if status is None or (not self.spoke and code != 0):
            raise Failed(f"QEMU ended with status {code}. It said:\n{self.last_words()}")
        return status

    def stop(self):
        """Asks the machine to end, and waits a little for it."""
        deadline = time.monotonic() + GRACE
        try:
            while self.process.poll() is None:
                self.process.stdin.write(INTERRUPT)
                self.process.stdin.flush()
                left = deadline - time.monotonic()
                try:
                    self.process.wait(left if self.answered else min(left, AGAIN))
                except subprocess.TimeoutExpired:
                    if left < AGAIN or self.answered:
                        raise
        except (OSError, subprocess.TimeoutExpired, KeyboardInterrupt):
            print("the machine did not end; it was switched off", file=sys.stderr)
            return 130
        status = qemu.status_of(self.kind, self.process.returncode)
        return 130 if status is None else status


def answers(port):
    """Whether anything comes back. QEMU takes connections before the machine does."""
    request = b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            return connection.recv(1) != b""
    except OSError:
        return False
