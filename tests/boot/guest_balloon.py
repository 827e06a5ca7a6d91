"""The host's side of an image with a balloon: memory is asked for and given back by QEMU's monitor."""
import time

from guest import MODERN, Guest

MIB = 1 << 20
ALL, FEW = 128 * MIB, 48 * MIB


class GuestBalloon(Guest):
    def options(self):
        return ["-device", f"{self.card},id=balloon", *MODERN, *self.monitor_options()]

    def wait_until(self, what, holds):
        until = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < until, what
            time.sleep(0.02)

    def statistics(self):
        return self.monitor.ask("qom-get", path="/machine/peripheral/balloon", property="guest-stats")

    def talk(self, first):
        if first:
            self.connect_monitor()
            self.take()
        else:
            self.monitor.ask("balloon", value=ALL)

    def take(self):
        self.monitor.ask("qom-set", path="/machine/peripheral/balloon",
                         property="guest-stats-polling-interval", value=1)
        self.wait_until("it tells nothing of its memory", lambda: self.statistics()["last-update"] != 0)
        told = self.statistics()["stats"]
        assert 0 < told["stat-free-memory"] <= told["stat-total-memory"] <= ALL, told
        self.monitor.ask("balloon", value=FEW)
        self.wait_until("it does not give its memory up",
                        lambda: self.monitor.ask("query-balloon")["actual"] == FEW)
