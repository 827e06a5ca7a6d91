"""Clients that do what they must not."""

from site_process import expect, request, running

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def check_requests_that_are_refused(world):
    get, post = b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: h\r\n"
    cases = {
        "conflicting lengths": (post + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", 400),
        "equal lengths": (post + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
        "a list of lengths": (post + b"Content-Length: 4, 4\r\n\r\nabcd", 400),
        "a signed length": (post + b"Content-Length: +4\r\n\r\nabcd", 400),
        "a negative length": (post + b"Content-Length: -1\r\n\r\n", 400),
        "a hexadecimal length": (post + b"Content-Length: 0x4\r\n\r\nabcd", 400),
        "an empty length": (post + b"Content-Length: \r\n\r\n", 400),
        "a length over 64 bits": (post + b"Content-Length: 18446744073709551617\r\n\r\n", 413),
        "a large length": (post + b"Content-Length: 18446744073709551615\r\n\r\n", 413),
        "length and chunks": (post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                              b"0\r\n\r\n" + SMUGGLED, 400),
        "chunks and length": (post + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
                              b"0\r\n\r\n" + SMUGGLED, 400),
        "chunks twice": (post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                         b"0\r\n\r\n", (400, 501)),
        "chunked but not last": (post + b"Transfer-Encoding: chunked, identity\r\n\r\n",
                                 (400, 501)),
        "an unknown coding": (post + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        "a coding in disguise": (post + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        "a coding after a tab": (post + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
        "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                               + SMUGGLED, 400),
        "bare line feeds": (b"GET / HTTP/1.1\nHost: h\n\n", 400),
        "one bare line feed": (get + b"Host: h\r\nA: b\nC: d\r\n\r\n", 400),
        "a bare carriage return": (get + b"Host: h\r\nA: b\rC: d\r\n\r\n", 400),
        "a folded line": (get + b"Host: h\r\nA: b\r\n c\r\n\r\n", 400),
        "a folded first field": (get + b" Host: h\r\n\r\n", 400),
        "a space before the colon": (get + b"Host : h\r\n\r\n", 400),
        "a field without a colon": (get + b"Host: h\r\nrubbish\r\n\r\n", 400),
        "a field without a name": (get + b"Host: h\r\n: x\r\n\r\n", 400),
        "a zero byte in a value": (get + b"Host: h\r\nA: \0\r\n\r\n", 400),
        "a zero byte in the path": (b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        "a fragment": (b"GET /a.txt#x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        "a fragment of the root": (b"GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        "a fragment behind a query": (b"GET /?a#x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        "no host": (get + b"\r\n", 400),
        "two hosts": (get + b"Host: a\r\nHost: b\r\n\r\n", 400),
        "the same host twice": (get + b"Host: a\r\nHost: a\r\n\r\n", 400),
        "two spaces": (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        "no version": (b"GET /\r\nHost: h\r\n\r\n", 400),
        "another version": (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        "another protocol": (b"GET / FTP/1.1\r\nHost: h\r\n\r\n", 400),
        "no slash": (b"GET a.txt HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        "a handshake of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 512, 400),
        "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        "a tunnel": (b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", 501),
        "a long path": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        "a long field": (get + b"Host: h\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        "many fields": (get + b"Host: h\r\n" + b"A: b\r\n" * 2_000 + b"\r\n", 431),
        "an endless head": (b"A" * 1_000_000, (400, 414, 431, 501)),
        "a large body": (post + b"Content-Length: 99999999999\r\n\r\n", 413),
    }
    with running(world) as site:
        for name, (sent, statuses) in cases.items():
            statuses = statuses if isinstance(statuses, tuple) else (statuses,)
            with site.connect() as connection:
                connection.send(sent + (b"" if name == "an endless head" else SMUGGLED))
                got = connection.response()
                expect(got, f"{name}: no answer")
                expect(got.status in statuses, f"{name}: {got.status}")
                expect(got.fields.get("connection") == "close", f"{name}: {got.fields}")
                rest = connection.rest()
                expect(rest == b"", f"{name}: another answer followed, {rest[:100]!r}")
        refused = site.state()["http"]["refused"]
        expect(refused == len(cases), f"{refused} of {len(cases)} were counted as refused")


def check_noise(world):
    """Every single byte, and every prefix of a request, then silence or a reset."""
    with running(world) as site:
        for byte in range(256):
            with site.connect() as connection:
                connection.send(bytes([byte]) * 300 + b"\r\n\r\n")
                got = connection.response()
                expect(got and got.status in (400, 501), f"{byte:#x}: {got and got.status}")
        whole = request("/a.txt", "Content-Length: 5\r\n", "POST") + b"abcd"
        for size in range(len(whole)):
            for reset in (False, True):
                connection = site.connect()
                connection.send(whole[:size])
                connection.reset() if reset else connection.socket.close()
        expect(site.ask("/a.txt").status == 200, "the rest is served")


def check_truncated_requests(world):
    """Half a request and the end of the stream: no answer, and the connection ends."""
    with running(world) as site:
        for sent in (b"G", b"GET /a.txt HTTP/1.1\r\nHost: h\r\n"):
            with site.connect() as connection:
                connection.send(sent)
                connection.socket.shutdown(1)
                expect(connection.is_closed(), f"an answer to {sent!r}")
        # All of a request, and then the end: it is answered.
        with site.connect() as connection:
            connection.send(request("/a.txt"))
            connection.socket.shutdown(1)
            got = connection.response()
            expect(got and got.status == 200 and connection.is_closed(), "a half-closed connection")


def check_pipelining(world):
    with running(world) as site:
        paths = ["/a.txt", "/sub/b.txt", "/nothing", "/empty", "/sub/"] * 200
        statuses = [200, 200, 404, 200, 200] * 200
        with site.connect() as connection:
            connection.send(b"".join(request(path) for path in paths))
            got = [connection.response().status for _ in paths]
            expect(got == statuses, "the responses are in the order of the requests")
        # One byte at a time.
        with site.connect() as connection:
            connection.socket.setsockopt(6, 1, 1)
            for byte in request("/sub/b.txt") * 2:
                connection.send(bytes([byte]))
            for _ in range(2):
                expect(connection.response().content == b"below", "cut into bytes")
        # A body that nobody wants does not become a request.
        with site.connect() as connection:
            for fields, body in ((f"Content-Length: {len(SMUGGLED)}\r\n", SMUGGLED),
                                 ("Transfer-Encoding: chunked\r\n",
                                  b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED))):
                connection.send(request("/a.txt", fields, "POST") + body + request("/sub/b.txt"))
                expect(connection.response().status == 405, "a POST of a file")
                expect(connection.response().content == b"below", "what follows the body")


def check_ten_thousand_connections(world):
    """Opened in waves, and dropped in every state a connection can be in."""
    with running(world) as site:
        sent = (b"", b"GET /", request("/a.txt"), request("/big.bin"),
                request("/a.txt", "Content-Length: 9\r\n", "POST"), request("/events"))
        wave = 500
        for round_ in range(20):
            connections = [site.connect() for _ in range(wave)]
            for i, connection in enumerate(connections):
                connection.send(sent[i % len(sent)])
            for i, connection in enumerate(connections):
                connection.reset() if (i // len(sent) + round_) % 2 else connection.socket.close()
        expect(site.ask("/a.txt").status == 200, "the rest is served")
        state = site.settle()
        expect(state["http"]["accepted"] >= 20 * wave, f"{state['http']}")
