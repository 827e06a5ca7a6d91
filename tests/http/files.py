"""What the site answers about files, and what it never gives away."""

import re
import subprocess

from site_process import expect, running, wait_for


def check_files(world):
    with running(world) as site:
        for path, content, kind in (("/", b"<p>home</p>\n", "text/html"),
                                    ("/sub/", b"<p>sub</p>\n", "text/html"),
                                    ("/a.txt", b"0123456789" * 100, "text/plain"),
                                    ("/sub/deep/c%20d.txt", b"spaced", "text/plain"),
                                    ("/sub/../a.txt", b"0123456789" * 100, "text/plain"),
                                    ("/empty", b"", "application/octet-stream"),
                                    ("/inside", b"0123456789" * 100, "application/octet-stream"),
                                    ("/a.txt?x=/../y", b"0123456789" * 100, "text/plain")):
            got = site.ask(path)
            expect((got.status, got.content) == (200, content), f"{path}: {got.status}")
            expect(got.fields["content-type"].startswith(kind), f"{path}: {got.fields}")
            head = site.ask(path, method="HEAD")
            for fields in (head.fields, got.fields):
                fields.pop("date")
            expect(head.fields == got.fields, f"HEAD {path}: {head.fields}, GET: {got.fields}")
        moved = site.ask("/sub?q")
        expect((moved.status, moved.fields["location"]) == (301, "/sub/?q"), f"{moved.fields}")
        for path in ("/nothing", "/a.txt/", "/a.txt/b", "/sub/deep/"):
            expect(site.ask(path).status == 404, f"{path}: {site.ask(path).status}")
        post = site.ask("/a.txt", "Content-Length: 0\r\n", "POST")
        expect((post.status, post.fields["allow"]) == (405, "GET, HEAD"), f"POST: {post.status}")


def check_paths_that_climb(world):
    climbing = (
        "/../secret", "/../../../../../../etc/passwd", "/sub/../../secret", "/sub/%2e%2e/../secret",
        "/%2e%2e/secret", "/%2E%2E/secret", "/.%2e/secret", "/%2e./secret", "/..%2fsecret",
        "/%2e%2e%2fsecret", "/sub%2f..%2f..%2fsecret", "/../root-beside/secret",
        "/..%5csecret", "/..\\secret", "/....//secret", "/%252e%252e/secret", "/..%00/secret",
        "/a.txt%00", "/%c0%ae%c0%ae/secret", "//etc/passwd", "///etc/passwd", "/%2fetc/passwd",
        "/climbs", "/folder/secret", "/folder/", "/absolute", "/own", "/sub/../climbs",
        "/.hidden", "/%2ehidden", "/sub/../.hidden", "/pipe", "/proc/self/environ", "/loop",
        "/loop/", "/loop/a.txt", "/sub/../loop")
    with running(world) as site:
        for path in climbing:
            got = site.ask(path)
            expect(got.status in (400, 404), f"{path}: {got.status} {got.content[:80]!r}")
            expect(b"SECRET" not in got.content and b"root:" not in got.content, path)
        absolute = site.ask("http://h/../secret")
        expect(absolute.status in (400, 404), f"absolute form: {absolute.status}")
        expect(site.ask("/" + "a" * 5000).status == 414, "a long name is a 414")
        expect(site.ask("/" + "a/" * 900).status == 404, "a deep path is a 404")
        expect(site.ask("/" + "a" * 300).status == 404, "a name no file can have is a 404")


def check_ranges(world):
    with running(world) as site:
        for path, size in (("/a.txt", 1000), ("/big.bin", world.big_size)):
            for asked, status, span in (
                    ("0-0", 206, (0, 0)), ("5-14", 206, (5, 14)), ("-1", 206, (size - 1, size - 1)),
                    (f"{size - 7}-", 206, (size - 7, size - 1)),
                    (f"0-{10 ** 15}", 206, (0, size - 1)), (f"-{size * 2}", 206, (0, size - 1)),
                    (f"{size}-", 416, None), ("-0", 416, None), ("5-4", 200, None),
                    ("x", 200, None), ("99999999999999999999999-", 416, None)):
                got = site.ask(path, f"Range: bytes={asked}\r\n")
                expect(got.status == status and got.whole, f"{path} {asked}: {got.status}")
                if span:
                    expect(got.fields["content-range"] == f"bytes {span[0]}-{span[1]}/{size}",
                           f"{path} {asked}: {got.fields}")
                    expect(len(got.content) == span[1] - span[0] + 1, f"{path} {asked}: size")
                elif status == 416:
                    expect(got.fields["content-range"] == f"bytes */{size}", f"{got.fields}")
                else:
                    expect(len(got.content) == size, f"{path} {asked}: all of it")
            parts = site.ask(path, "Range: bytes=0-1,500-503\r\n")
            expect(parts.status == 206, f"parts: {parts.status}")
            boundary = re.fullmatch(r"multipart/byteranges; boundary=(\S+)",
                                    parts.fields["content-type"]).group(1).encode()
            expect(parts.content.count(b"--" + boundary) == 3, "two parts and an end")
            many = site.ask(path, "Range: bytes=" + ",".join(["0-"] * 500) + "\r\n")
            expect(len(many.content) <= 2 * size, "many ranges do not make it send much")


def check_conditions(world):
    with running(world) as site:
        for path in ("/a.txt", "/big.bin"):
            first = site.ask(path, method="HEAD")
            tag, date = first.fields["etag"], first.fields["last-modified"]
            for fields, status in ((f"If-None-Match: {tag}\r\n", 304),
                                   (f"If-None-Match: W/{tag}, \"x\"\r\n", 304),
                                   ("If-None-Match: *\r\n", 304), ("If-None-Match: \"x\"\r\n", 200),
                                   (f"If-Modified-Since: {date}\r\n", 304),
                                   ("If-Modified-Since: yesterday\r\n", 200),
                                   (f"If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n", 200),
                                   (f"If-Match: {tag}\r\n", 200), ("If-Match: \"x\"\r\n", 412),
                                   (f"Range: bytes=0-1\r\nIf-Range: {tag}\r\n", 206),
                                   ("Range: bytes=0-1\r\nIf-Range: \"x\"\r\n", 200)):
                with site.connect() as connection:
                    got = connection.ask(path, fields)
                    expect(got.status == status, f"{path} {fields!r}: {got.status}")
                    expect(got.fields.get("etag") == tag or status == 412, f"{got.fields}")
                    # What follows a response without content begins where it should.
                    expect(connection.ask("/a.txt").status == 200, f"after {fields!r}")


def check_every_core_serves(world):
    """The kernel deals connections out among the cores; a core has one socket more for each."""
    with running(world, "--cores", "2") as site:
        idle = min(core["sockets"] for core in site.state()["cores"])
        seen = set()

        def all_cores_were_seen():
            seen.update(index for index, core in enumerate(site.state()["cores"])
                        if core["sockets"] > idle)
            return len(seen) == 2

        wait_for("both cores to have a connection", all_cores_were_seen)


def check_curl(world):
    def curl(*words):
        outcome = subprocess.run(["curl", "--noproxy", "*", "-sS", "--max-time", "30", *words],
                                 capture_output=True, check=False)
        expect(outcome.returncode == 0, f"curl {words}: {outcome.stderr.decode()}")
        return outcome.stdout

    with running(world, "--cores", "2") as site:
        url = f"http://127.0.0.1:{site.port}"
        expect(curl(f"{url}/a.txt") == b"0123456789" * 100, "curl: a.txt")
        expect(curl("--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/../secret")
               == b"404", "curl: ../secret")
        expect(len(curl(f"{url}/big.bin")) == world.big_size, "curl: big.bin")
        # One connection for all of them.
        expect(curl("-o", "/dev/null", "-w", "%{num_connects} ", *[f"{url}/a.txt"] * 1,
                    "-o", "/dev/null", f"{url}/sub/", "-o", "/dev/null", f"{url}/") == b"1 0 0 ",
               "curl: a connection is used again")
        expect(curl("-r", "1-3", f"{url}/a.txt") == b"123", "curl: a range")
        expect(curl("-H", "Expect: 100-continue", "-d", "x" * 2000, "-o", "/dev/null", "-w",
                    "%{http_code}", f"{url}/a.txt") == b"405", "curl: a body nobody wants")
        expect(curl("-0", f"{url}/a.txt") == b"0123456789" * 100, "curl: HTTP/1.0")
        expect(curl("-I", f"{url}/a.txt").startswith(b"HTTP/1.1 200 OK\r\n"), "curl: HEAD")
