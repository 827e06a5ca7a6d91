#!/usr/bin/env python3
"""check_page.py SITE FOLDER: starts the site, opens its page in headless Chromium and checks that the
numbers are there, that they change while one looks, that the tasks are listed with their stacks, and that
frames are drawn beside hogs and can be recorded."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

DEADLINE = time.monotonic() + 90


def fail(text):
    sys.exit(f"check_page: {text}")


def wait_for(what, probe):
    """Calls probe until it returns something true."""
    while time.monotonic() < DEADLINE:
        result = probe()
        if result:
            return result
        time.sleep(0.1)
    fail(f"waited too long for {what}")


class DevTools:
    """The browser's own debugging protocol: JSON over a WebSocket (RFC 6455), text frames only."""

    def __init__(self, url):
        host, port, path = re.match(r"ws://([^:/]+):(\d+)(/.*)", url).groups()
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        self.received = b""
        while b"\r\n\r\n" not in self.received:
            self.received += self.socket.recv(4096)
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            fail(f"the browser refused a debugging connection: {head!r}")
        self.calls = 0

    def take(self, size):
        while len(self.received) < size:
            piece = self.socket.recv(65536)
            if not piece:
                fail("the browser closed the debugging connection")
            self.received += piece
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def message(self):
        text = b""
        while True:
            first, second = self.take(2)
            size = second & 127
            if size == 126:
                size = struct.unpack(">H", self.take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.take(8))[0]
            text += self.take(size)
            if first & 128:
                return json.loads(text)

    def call(self, method, **parameters):
        self.calls += 1
        text = json.dumps({"id": self.calls, "method": method, "params": parameters}).encode()
        mask = os.urandom(4)
        size = len(text)
        head = bytes([0x81, 128 | size]) if size < 126 else b"\x81\xfe" + struct.pack(">H", size)
        self.socket.sendall(head + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(text)))
        while True:
            answer = self.message()
            if answer.get("id") == self.calls:
                return answer.get("result", {})

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", expression=expression,
                         returnByValue=True)["result"].get("value")


def open_page(url, browser_log):
    """The page that a browser shows, to be looked at with DevTools."""
    tools = wait_for("the browser", lambda: re.search(
        r"DevTools listening on (ws://\S+)", open(browser_log).read()))
    port = re.search(r":(\d+)/", tools.group(1)).group(1)
    pages = wait_for("the page", lambda: [
        page for page in json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list"))
        if page["type"] == "page" and page["url"].startswith(url)])
    return DevTools(pages[0]["webSocketDebuggerUrl"])


def check(url, browser_log):
    page = open_page(url, browser_log)

    def text(name):
        return page.evaluate(f"document.getElementById('{name}').textContent")

    wait_for("the page to be live", lambda: text("link") == "live")
    wait_for("numbers that change", lambda: int(
        page.evaluate("document.body.dataset.updates || 0")) >= 3)
    for name in ("uptime", "requests", "open", "tasks", "memory", "calls"):
        if text(name) in ("", "–", None):
            fail(f"there is no number in {name}")
    uptime = text("uptime")
    wait_for("the uptime to go on", lambda: text("uptime") != uptime)
    requests = int(text("requests").replace(",", ""))
    for _ in range(5):
        urllib.request.urlopen(url + "style.css").read()
    wait_for("the requests to be counted",
             lambda: int(text("requests").replace(",", "")) >= requests + 5)
    if not page.evaluate("document.querySelectorAll('#cores tr').length") == 2:
        fail("the table does not show two cores")
    wait_for("the list of tasks", lambda: "site.cpp:" in (text("stacks") or ""))
    if page.evaluate("document.querySelectorAll('canvas').length") != 3:
        fail("there are not three charts")
    wait_for("the bands", lambda: "foreground user interactive" in (text("bands") or ""))
    wait_for("the watched tasks", lambda: "track 3" in (text("watched") or ""))
    wait_for("the groups", lambda: "hogs" in (text("groups") or ""))
    wait_for("frames", lambda: int(text("drawn").replace(",", "") or 0) > 20 if text("drawn") != "–"
             else False)
    wait_for("hogs that work", lambda: (text("hogged") or "–") != "–")
    drawn = text("drawn")
    wait_for("frames that go on", lambda: text("drawn") != drawn)
    wait_for("dots in the chart", lambda: page.evaluate("""(() => {
        const chart = document.getElementById('frames');
        const pixels = chart.getContext('2d').getImageData(0, 0, chart.width, chart.height).data;
        return pixels.some((value, i) => i % 4 === 3 && value > 200);
    })()"""))
    page.evaluate("document.getElementById('record').click()")
    wait_for("a recorded trace", lambda: "KiB" in (text("recorded") or ""))
    if page.evaluate("document.getElementById('download').hidden"):
        fail("the trace cannot be saved")


def main():
    site, folder = sys.argv[1:]
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        fail("Chromium is not installed: run tools/setup test")
    started = []
    work = tempfile.mkdtemp()
    try:
        site_log = os.path.join(work, "site")
        server = subprocess.Popen([site, "--port", "0", "--root", folder, "--cores", "2",
                                   "--demo", "frames"],
                                  stderr=open(site_log, "w"))
        started.append(server)

        def address():
            if server.poll() is not None:
                fail(f"the site did not start: {open(site_log).read()}")
            return re.search(r"http://[0-9.:]+/", open(site_log).read())

        url = wait_for("the site", address).group(0)
        browser_log = os.path.join(work, "browser")
        started.append(subprocess.Popen(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", f"--user-data-dir={work}/profile",
             "--remote-debugging-port=0", url],
            stdout=subprocess.DEVNULL, stderr=open(browser_log, "w"), start_new_session=True,
            env={**os.environ, "TMPDIR": work}))
        check(url, browser_log)
        server.send_signal(signal.SIGINT)
        if server.wait(20) != 0:
            fail("the site did not stop in an orderly way")
    finally:
        for process in started[1:]:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if started and started[0].poll() is None:
            started[0].kill()
            started[0].wait()
        shutil.rmtree(work, ignore_errors=True)
    print("the page is live")


if __name__ == "__main__":
    main()
