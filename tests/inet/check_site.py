#!/usr/bin/env python3
"""check_site.py SITE FOLDER: the site over our own TCP/IP, on a TAP device in a network namespace of its
own, with an address from dnsmasq; curl and a browser are its clients. Exit status 77: that cannot be had
here."""

import fcntl
import filecmp
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, "../browser"), os.path.join(HERE, "../http")]
import check_page
from site_process import PATIENCE, C, Failed, Site, die_with_us, expect, request, wait_for

DEVICE = b"lichen0"
DNSMASQ_PATH = "/usr/sbin:/usr/bin"
ADDRESS = "10.9.0.50"
SECOND_ADDRESS = "10.9.0.70"


def skip(text):
    print(f"check_site: skipped: {text}")
    sys.exit(77)


def make_network():
    """A namespace with lo, and a TAP device whose end here is 10.9.0.1/24."""
    clone_newnet = 0x40000000
    if C.unshare(clone_newnet) != 0:
        skip("no right to make a network namespace")
    add_device()


def add_device():
    tunsetiff, tunsetpersist = 0x400454CA, 0x400454CB
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR)
    except OSError as error:
        skip(f"/dev/net/tun: {error}")
    tap, no_information, header = 0x0002, 0x1000, 0x4000
    fcntl.ioctl(tun, tunsetiff, struct.pack("16sH22x", DEVICE, tap | no_information | header))
    fcntl.ioctl(tun, tunsetpersist, 1)
    os.close(tun)
    set_address, set_mask, set_flags, up = 0x8916, 0x891C, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for call, address in ((set_address, "10.9.0.1"), (set_mask, "255.255.255.0")):
            fcntl.ioctl(control, call, struct.pack(
                "16sHH4s16x", DEVICE, socket.AF_INET, 0, socket.inet_aton(address)))
        for name in (b"lo", DEVICE):
            fcntl.ioctl(control, set_flags, struct.pack("16sH22x", name, up))


class Programs:
    """What was started, and what it says; all of it ends with the `with`."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def start(self, *words, **more):
        """Yields a function that tells what it has said so far, and one that ends it."""
        log = os.path.join(self.folder, os.path.basename(words[0]) + ".log")
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=open(log, "w"),
                                   stderr=subprocess.STDOUT, preexec_fn=die_with_us,
                                   start_new_session=True, **more)
        self.running.append(process)

        def said():
            text = open(log, errors="replace").read()
            expect(process.poll() is None, f"{words[0]} ended: {text}")
            return text

        def end():
            self.running.remove(process)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        return said, end


def curl(*words):
    return subprocess.run(["curl", "-sS", "--noproxy", "*", "-m", str(PATIENCE), *words], check=True,
                          stdout=subprocess.PIPE).stdout


def check_curl(site, url, root, folder):
    with open(os.path.join(root, "big.bin"), "wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
    copy = os.path.join(folder, "copy")
    curl("-o", copy, url + "big.bin")
    expect(filecmp.cmp(copy, os.path.join(root, "big.bin"), shallow=False),
           "a large file came changed")
    with open(os.path.join(root, "big.bin"), "rb") as file:
        file.seek(1_000_000)
        expect(curl("-r", "1000000-1999999", url + "big.bin") == file.read(1_000_000),
               "a part of it came changed")
    # Who leaves in the middle, and who reads slowly, hinder nobody.
    for _ in range(5):
        with site.connect() as leaver:
            leaver.send(request("/big.bin"))
            leaver.more()
    page = curl(url)
    together = curl("-Z", "--parallel-max", "30", *[f"{url}?{i}" for i in range(200)])
    expect(together == page * 200, "200 requests, 30 at a time, were not answered alike")


def has_settled():
    """Whether the device's own address of IPv6 is known to be nobody else's (proc(5), IFA_F_TENTATIVE)."""
    with open("/proc/net/if_inet6", encoding="ascii") as addresses:
        flags = [int(line.split()[4], 16) for line in addresses if line.split()[5] == DEVICE.decode()]
    return flags and not any(each & 0x40 for each in flags)


def check_browser(programs, folder, site, url):
    # A browser gives up what it loads when an address of its machine comes or becomes valid.
    wait_for("the device's own address", has_settled)
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    expect(browser, "Chromium is not installed: run tools/setup test")
    said, _ = programs.start(
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={folder}/profile", "--remote-debugging-port=0", url,
        env={**os.environ, "TMPDIR": folder})

    wait_for("the browser", lambda: "DevTools listening" in said())
    page = check_page.open_page(url, os.path.join(folder, os.path.basename(browser) + ".log"))
    try:
        wait_for("the page to be live", lambda: page.evaluate(
            "document.getElementById('link').textContent") == "live")
        wait_for("numbers that change", lambda: int(
            page.evaluate("document.body.dataset.updates || 0")) >= 3)
    except Failed as reason:
        shown = page.evaluate("document.documentElement.innerText")
        raise Failed(f"{reason}; the page shows {shown!r}, and the site said {site.said()!r}") from None


def serve_leases(programs, folder, address):
    """To be renewed each second, asked of any server after three, and lost after thirty: a busy machine
    may keep it from answering for long. Yields what ends it."""
    said, end = programs.start(
        shutil.which("dnsmasq", path=DNSMASQ_PATH), "--keep-in-foreground", "--conf-file=/dev/null",
        "--user=root", "--pid-file=", "--log-facility=-", "--no-resolv", "--no-hosts", "--no-ping",
        "--interface=lichen0", "--except-interface=lo", "--bind-interfaces", "--dhcp-authoritative",
        f"--dhcp-leasefile={folder}/leases", f"--dhcp-range={address},{address},120",
        "--dhcp-option=option:T1,1", "--dhcp-option=option:T2,3", "--dhcp-option-force=51,30")
    wait_for("dnsmasq", lambda: "DHCP, IP range" in said())
    return end


def check_move(site, url):
    """The server has given it another address."""
    expect(site.said().count("http://") == 1, site.said())
    moved = f"http://{SECOND_ADDRESS}:{site.port}/"
    wait_for("the second address", lambda: f"now on {moved}" in site.said())
    curl(moved)
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "-m", "2", url], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    expect(done.returncode in (7, 28), f"the first address is still answered: {done.returncode}")


def remove_device():
    """As `ip link del` does (rtnetlink(7)): RTM_DELLINK with a request for an answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as control:
        index = socket.if_nametoindex(DEVICE.decode())
        control.send(struct.pack("=IHHII BxHiII", 32, 17, 5, 1, 0, 0, 0, index, 0, 0))
        answer = control.recv(4096)
        expect(struct.unpack_from("=i", answer, 16)[0] == 0, f"the device stays: {answer}")


def check_removed(program, root):
    """Who serves over a device that somebody removes is told so, and ends."""
    for cores in ("1", "2"):
        with Site(program, root, "--net", "lichen0", "--cores", cores, port=8080, host="10.9.0.2") as site:
            expect(site.ask("/").status == 200, "the site over a device that is there")
            with site.connect() as idle:
                idle.send(b"GET / HTTP/1.1\r\n")
                remove_device()
                expect(site.end() == 1, f"it ended otherwise: {site.said()}")
            expect("--net lichen0: the device is gone" in site.said(), site.said())
        add_device()


def check_wishes(program):
    """What cannot be had is refused with the reason, not served where nobody comes."""
    for wishes, why in (
            (["t=10.9.0.0/24"], "whole network"), (["t=10.9.0.255/24"], "whole network"),
            (["t=127.0.0.1/8"], "no machine"), (["t=224.0.0.1/24"], "no machine"),
            (["t=10.9.0.2/24,10.8.0.1"], "not in that network"), (["t=10.9.0.2/24,10.9.0.2"], "another machine"),
            (["t", "t=10.9.7.2/24"], "named twice"), (["t", "u=0.0.0.0/24"], "is wanted"),
            (["t%d"], "is wanted"), (["../t"], "is wanted"), (["lo"], "no TAP device")):
        words = [word for wish in wishes for word in ("--net", wish)]
        done = subprocess.run([program, *words], check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, preexec_fn=die_with_us, timeout=PATIENCE)
        expect(done.returncode == 2 and why in done.stdout, f"{wishes}: {done.returncode}, {done.stdout}")


def main():
    program, pages = sys.argv[1:]
    if not shutil.which("dnsmasq", path=DNSMASQ_PATH):
        skip("dnsmasq is not installed (tools/setup test)")
    make_network()
    check_wishes(program)
    with tempfile.TemporaryDirectory() as folder, Programs(folder) as programs:
        root = os.path.join(folder, "www")
        shutil.copytree(pages, root)
        end_leases = serve_leases(programs, folder, ADDRESS)
        disk = os.path.join(folder, "disk")
        with open(disk, "wb") as file:
            file.truncate(1024)
        with Site(program, root, "--net", "lichen0=dhcp", "--disk", f"{disk}:ro", port=8080,
                  host=ADDRESS) as site:
            url = f"http://{ADDRESS}:{site.port}/"
            disks = site.state()["disks"]
            expect(disks == [{"sectors": 2, "sector_size": 512, "read_only": True}], f"disks: {disks}")
            check_curl(site, url, root, folder)
            check_browser(programs, folder, site, url)
            end_leases()
            serve_leases(programs, folder, SECOND_ADDRESS)
            check_move(site, url)
            site.stop()
        check_removed(program, root)
    print("curl and a browser are content")


try:
    main()
except Failed as reason:
    sys.exit(f"check_site: {reason}")
