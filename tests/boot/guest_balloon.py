"""The host's side of an image with a balloon: memory is asked for and given back by QEMU's monitor."""
import os
import tempfile
import threading
import time

from guest_network import Monitor

MIB = 1 << 20
ALL, FEW = 128 * MIB, 48 * MIB


class GuestBalloon:
    """`card`: the device, as QEMU takes it."""

    def __init__(self, card):
        self.card = card
        self.folder = tempfile.TemporaryDirectory(prefix="lichen-boot-")
        self.monitor_path = os.path.join(self.folder.name, "monitor")
        self.failures = []
        self.talks = 0
        self.thread = None

    def options(self):
        return ["-device", f"{self.card},id=balloon", "-global", "virtio-mmio.force-legacy=false",
                "-qmp", f"unix:{self.monitor_path},server=on,wait=off"]

    def close(self):
        self.folder.cleanup()

    def wait_until(self, what, holds):
        until = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < until, what
            time.sleep(0.02)

    def statistics(self):
        return self.monitor.ask("qom-get", path="/machine/peripheral/balloon", property="guest-stats")

    def talk(self, size, before):
        if before:
            before.join()  # it may still wait for what it asked for
        try:
            if size == FEW:
                self.monitor = Monitor(self.monitor_path)
                self.monitor.ask("qom-set", path="/machine/peripheral/balloon",
                                 property="guest-stats-polling-interval", value=1)
                self.wait_until("it tells nothing of its memory",
                                lambda: self.statistics()["last-update"] != 0)
                told = self.statistics()["stats"]
                assert 0 < told["stat-free-memory"] <= told["stat-total-memory"] <= ALL, told
            self.monitor.ask("balloon", value=size)
            if size == FEW:
                self.wait_until("it does not give its memory up",
                                lambda: self.monitor.ask("query-balloon")["actual"] == size)
        except (OSError, ValueError, AssertionError, KeyError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    # Each time the image says that it is ready.
    def start(self):
        self.talks += 1
        arguments = (FEW if self.talks == 1 else ALL, self.thread)
        self.thread = threading.Thread(target=self.talk, args=arguments, daemon=True)
        self.thread.start()
