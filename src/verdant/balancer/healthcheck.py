"""Health check: asks one backend, again and again, whether it is well.

Place     balancer; fleets.py starts one for each backend of a rule with a `health_path`, and ends
          it when the rule goes. It works on the same `Backend` that requests use.
Promise   a backend is unsound after `health_fall` bad answers in a row, sound again after
          `health_rise` good ones. Checks of many backends do not come in step: each interval is
          stretched or shortened by up to a tenth, and the first begins somewhere in it.
Not here  failures of real requests (ejection.py): both put a backend out, each by itself.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from verdant.core import Timeout, monotonic, sleep
from verdant.http import ClientConnection, HttpError, request_head
from verdant.net import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.balancer.backend import Backend
    from verdant.balancer.proxy_rule import ProxyOptions

__all__ = ["Check", "Tally", "watch_backend"]

JITTER_SHARE = 0.1
# A check never follows on its forerunner at once, whatever the rule says.
INTERVAL_S_MIN = 0.05


class Check(NamedTuple):
    """What is asked and what is a good answer. Equal checks need not be started anew."""

    host: str
    path: str
    status_low: int
    status_high: int
    interval_s: float
    timeout_s: float
    rise: int
    fall: int

    @classmethod
    def of(cls, host: str, options: ProxyOptions) -> Check | None:
        """The check that a rule wants for its backends, or None."""
        if not options.health_path:
            return None
        low, _, high = options.health_status.partition("-")
        return cls(
            host,
            options.health_path,
            int(low),
            int(high or low),
            max(INTERVAL_S_MIN, options.health_interval_s),
            options.health_timeout_s or options.health_interval_s or 1.0,
            options.health_rise,
            options.health_fall,
        )


class Tally:
    """Answers in a row, and what they come to. Pure."""

    __slots__ = ("_fall", "_rise", "_row", "sound")

    def __init__(self, rise: int, fall: int, *, sound: bool = True) -> None:
        self._rise = rise
        self._fall = fall
        # Answers in a row that speak against `sound`.
        self._row = 0
        self.sound = sound

    def note(self, good: bool) -> bool:
        """Note an answer. Returns True when the verdict changes with it."""
        if good == self.sound:
            self._row = 0
            return False
        self._row += 1
        if self._row < (self._rise if good else self._fall):
            return False
        self._row = 0
        self.sound = good
        return True


def watch_backend(backend: Backend, check: Check, changed: Callable[[], object]) -> None:
    """Check `backend` until cancelled; `changed()` hears of each change of verdict. Parks."""
    tally = Tally(check.rise, check.fall, sound=backend.sound)
    sleep(random.random() * check.interval_s)
    while True:
        fault = _fault_of(backend.address, check)
        if fault:
            backend.last_failure = f"health check: {fault}"
        if tally.note(not fault):
            if tally.sound:
                backend.recovered(monotonic())
            else:
                backend.sound = False
            changed()
        sleep(check.interval_s * (1 + JITTER_SHARE * (2 * random.random() - 1)))


def _fault_of(address: tuple[str, int], check: Check) -> str:
    """What is wrong with the backend, or "". Parks for at most the check's time."""
    try:
        with Timeout(check.timeout_s):
            connection = ClientConnection(connect(address, timeout_s=None))
            try:
                fields = [
                    (b"Host", check.host.encode("ascii")),
                    (b"User-Agent", b"verdant-health-check"),
                    (b"Connection", b"close"),
                ]
                connection.stream.sendall(request_head(b"GET", check.path.encode("ascii"), fields))
                status = connection.read_response(b"GET").status
            finally:
                connection.close()
    except (OSError, HttpError) as exc:
        # A Timeout is an OSError too.
        return str(exc)
    if check.status_low <= status <= check.status_high:
        return ""
    return f"{check.path} answers {status}"
