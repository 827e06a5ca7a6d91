"""Clients that take their time. These checks mostly wait, each at a site of its own."""

import time

from site_process import Site, expect, request, running, wait_for


def check_slow_heads(world):
    """One byte a second, on many connections: told that time is up, and nobody else is held up."""
    with running(world) as site:
        connections = [site.connect() for _ in range(200)]
        text = request("/a.txt", "A: " + "b" * 100 + "\r\n")
        for byte in text[:8]:
            for connection in connections:
                connection.send(bytes([byte]))
            expect(site.ask("/a.txt").status == 200, "others are served meanwhile")
            time.sleep(1)
        for connection in connections:
            got = connection.response()
            expect(got and got.status == 408, f"{got and got.status}")
            expect(connection.is_closed(), "and then the connection ends")
            connection.socket.close()
        timed_out = site.state()["http"]["timed_out"]
        expect(timed_out == len(connections), f"{timed_out} were counted")


def check_clients_that_stop_reading(world):
    with running(world) as site:
        stalled = [site.connect(receive_buffer=4096) for _ in range(50)]
        for connection in stalled:
            connection.send(request("/big.bin"))
        wait_for("all to be served at once",
                 lambda: site.state()["http"]["open"] == len(stalled) + 1)
        for _ in range(100):
            expect(site.ask("/a.txt").status == 200, "others are served meanwhile")
        wait_for("them to be cut", lambda: site.state()["http"]["open"] == 1)
        for connection in stalled:
            got = connection.response()
            expect(got and not got.whole, "half a file is not taken for a whole one")
            connection.socket.close()
        expect(site.state()["http"]["timed_out"] == len(stalled), "they were counted")


def check_interrupt_and_a_client_that_stops_reading(world):
    with Site(world.program, world.root, "--cores", "2") as site:
        with site.connect(receive_buffer=4096) as stalled:
            stalled.send(request("/big.bin"))
            stalled.more()
            site.interrupt()
            expect(site.end() == 0, f"{site.said()}")
            got = stalled.response()
            expect(got and not got.whole, "half a file is not taken for a whole one")
