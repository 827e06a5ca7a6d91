"""When the machine does not give what the site needs, or takes it away."""

import os
import socket
import subprocess
import time

from site_process import Connection, Site, expect, request, running, wait_for

SITE_PATIENCE = 5  # seconds that the site gives to requests in flight when it is to stop


def check_file_that_shrinks(world):
    path = world.write("shrinks", "s" * world.big_size)
    with running(world) as site:
        with site.connect(receive_buffer=4096) as connection:
            connection.send(request("/shrinks"))
            connection.take(10_000)
            os.truncate(path, 1000)
            connection.received.clear()
            left = len(connection.rest())
            expect(left < world.big_size - 10_000, "all of it came, and there is not so much")
        # The next one gets what there is now.
        got = wait_for("the new size", lambda: (
            lambda seen: seen.fields["content-length"] == "1000" and seen)(site.ask("/shrinks")))
        expect(got.whole and got.content == b"s" * 1000, "the file as it is now")


def check_file_that_grows(world):
    path = world.write("grows", "g" * world.big_size)
    with running(world) as site:
        with site.connect(receive_buffer=4096) as connection:
            connection.send(request("/grows"))
            connection.send(request("/a.txt"))
            connection.more()  # the length has been announced
            with open(path, "a", encoding="utf-8") as file:
                file.write("more" * 100_000)
            got = connection.response()
            expect(got.whole and got.content == b"g" * world.big_size,
                   f"{len(got.content)} bytes, announced {got.fields}")
            expect(connection.response().content == b"0123456789" * 100, "what follows it")


def check_file_that_is_replaced_or_removed(world):
    path = world.write("replaced", "old")
    with running(world) as site:
        expect(site.ask("/replaced").content == b"old", "the old content")
        world.write("fresh", "new content")
        os.rename(os.path.join(world.root, "fresh"), path)
        wait_for("the new content", lambda: site.ask("/replaced").content == b"new content")
        os.unlink(path)
        wait_for("the file to be gone", lambda: site.ask("/replaced").status == 404)


def check_no_descriptors(world):
    """More clients than descriptors: some wait, nobody is harmed, all are served in the end."""
    with running(world, descriptors=64) as site:
        expect(site.ask("/a.txt").status == 200, "a file while there are descriptors")
        connections = [site.connect() for _ in range(200)]
        # Some of them are accepted, and go on being served.
        for connection in connections:
            connection.send(request("/a.txt"))
        expect(connections[0].response().content == b"0123456789" * 100, "the first of them")
        wait_for("all descriptors to be in use", lambda: site.descriptors() >= 60)
        # It says what is the matter when it cannot open a file, and goes on.
        connections[0].send(request("/sub/b.txt"))
        got = connections[0].response()
        expect(got.status in (200, 503), f"a file without a descriptor: {got.status}")
        expect(connections[0].ask("/a.txt").status == 200, "the connection goes on")
        expect(site.process.poll() is None, f"the site ended: {site.said()}")
        connections[0].socket.close()
        for connection in connections[1:]:
            got = connection.response()
            expect(got and got.status in (200, 503), "those that waited are served")
            connection.socket.close()
        wait_for("the file to be served again", lambda: site.ask("/sub/b.txt").status == 200)


def check_memory_limit(world):
    """A small limit and many clients: they are refused or cut, and afterwards all is well."""
    with Site(world.program, world.root, "--memory", "3M") as site:
        before = site.settle()["memory"]
        connections, cut = [], 0
        for _ in range(3000):
            try:
                connections.append(site.connect())
            except ConnectionResetError:
                cut += 1
        expect(connections and site.process.poll() is None, "it goes on accepting")
        # Heads in two parts are put together in memory of their own: nothing is left for most.
        for connection in connections:
            connection.send(b"GET /a.txt HTTP/1.1\r\nHost: h\r\nA: b")
        for connection in connections:
            connection.send(b"\r\n\r\n")
        for connection in connections:
            got = connection.response()
            expect(not got or got.status in (200, 503), f"a clear answer: {got}")
            cut += not got or got.status != 200
            connection.socket.close()
        after = site.settle()["memory"]
        expect(cut == 0 or after["refusals"] > before["refusals"],
               f"{cut} were not served though there was memory")
        expect(after["refusals"] > before["refusals"], "the limit was reached")
        expect(site.ask("/a.txt").status == 200, "all is well afterwards")
        site.stop()


def check_port_in_use(world):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        for cores in ("1", "2"):
            outcome = subprocess.run(
                [world.program, "--port", str(port), "--root", world.root, "--cores", cores],
                capture_output=True, text=True, check=False, timeout=40)
            expect(outcome.returncode == 1, f"{cores} cores: status {outcome.returncode}")
            expect(f"127.0.0.1:{port}" in outcome.stderr and "--port" in outcome.stderr,
                   f"{cores} cores: {outcome.stderr}")


def check_port_of_another_site(world):
    """Cores of one site share a port; two sites must not."""
    for cores in ("1", "2"):
        with Site(world.program, world.root, "--cores", cores) as site:
            outcome = subprocess.Popen(
                [world.program, "--port", str(site.port), "--root", world.root, "--cores", cores],
                stderr=subprocess.PIPE, text=True)
            try:
                said = outcome.communicate(timeout=20)[1]
            except subprocess.TimeoutExpired:
                outcome.kill()
                said = outcome.communicate()[1]
            expect(outcome.returncode == 1, f"{cores} cores: {outcome.returncode}: {said}")
            site.stop()


def check_wrong_arguments(world):
    for words, status in ((("--port", "x"), 2), (("--port", "65536"), 2), (("--rubbish",), 2),
                          (("--root",), 2), (("--cores", "x"), 2), (("--memory", "1X"), 2),
                          (("--stack-size", "999999G"), 2), (("--disk", ":ro"), 2), (("--disk", "/dev"), 2),
                          (("--port", "0", "--root", "/nothing/here"), 1),
                          (("--port", "0", "--root", "/etc/passwd"), 1)):
        outcome = subprocess.run([world.program, *words], capture_output=True, text=True,
                                 check=False, timeout=40)
        expect(outcome.returncode == status, f"{words}: {outcome.returncode}: {outcome.stderr}")
        expect(words[0] in outcome.stderr or words[-1] in outcome.stderr, f"{words}: {outcome.stderr}")
    with open("/dev/full", "w") as full:
        outcome = subprocess.run([world.program, "--help"], stdout=full, check=False, timeout=40)
    expect(outcome.returncode == 1, f"help that nobody can have: {outcome.returncode}")


def check_interrupt_during_a_transfer(world):
    for cores in ("1", "2"):
        with Site(world.program, world.root, "--cores", cores) as site:
            idle = site.connect()
            expect(idle.ask("/a.txt").status == 200, "before")
            events = site.connect()
            events.send(request("/events"))
            expect(events.line() == b"HTTP/1.1 200 OK", "events")
            busy = site.connect(receive_buffer=4096)
            busy.send(request("/big.bin"))
            busy.more()
            busy.receive_more()
            interrupted = time.monotonic()
            site.interrupt()
            expect(idle.is_closed(), "an idle connection ends at once")
            expect(b"\r\n0\r\n\r\n" in events.rest(), "a stream of events ends in order")
            got = busy.response()
            # Not where the machine is so slow that the site's patience had come to its end.
            in_time = time.monotonic() - interrupted < SITE_PATIENCE
            expect(not in_time or got and got.whole and len(got.content) == world.big_size, "all of the file")
            expect(busy.is_closed(), "and then the connection ends")
            try:
                Connection(site.port).socket.close()
                expect(False, "it still accepts")
            except ConnectionRefusedError:
                pass
            expect(site.end() == 0, f"{cores} cores: {site.said()}")
            for connection in (idle, events, busy):
                connection.socket.close()
