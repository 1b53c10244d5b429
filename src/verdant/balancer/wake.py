"""Wake: tell the world that a sleeping site has a request.

Place     balancer, above ZeroMQ; holding.py says when a host's first request is held.
Promise   a notice goes out once when the first request is held and again every `repeat_s` seconds
          while requests wait: a subscriber may have been away, a start may have failed. A hook
          that fails is logged and touches no request.
Not here  starting anything (whoever hears the notice), readiness (whoever changes the rule).

    first held request ──▶ [b"wake", host]  on a PUB socket
                       └─▶ a command, with VERDANT_HOST in its environment
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from verdant.core import run_in_worker, sleep, spawn
from verdant.net import AddressUnusable
from verdant.zmq import LINGER, MAXMSGSIZE, PUB, Context, ZMQError
from verdant.zmq.security import REQUEST_BYTES_MAX, read_keys, secure_server

if TYPE_CHECKING:
    from verdant.balancer.config import WakeConfig
    from verdant.balancer.holding import Holding
    from verdant.zmq import Socket

__all__ = ["NOTICE", "Waker"]

# The first frame of a notice, and so what subscribers subscribe to.
NOTICE = b"wake"

# A wake command should only start something; beyond this it is ended and reported.
COMMAND_S_MAX = 60.0

_log = logging.getLogger("verdant.balancer")


class Waker:
    """Raises notices. `holding` is set by service.py once both exist."""

    def __init__(self, config: WakeConfig) -> None:
        self._config = config
        self.holding: Holding | None = None
        self._context = Context() if config.publish else None
        self._socket: Socket | None = None
        try:
            self._open(config)
        except BaseException:
            self.close()
            raise

    def _open(self, config: WakeConfig) -> None:
        if self._context is not None and config.publish:
            self._socket = self._context.socket(PUB)
            self._socket.setsockopt(LINGER, 0)
            # Subscribers send subscriptions, and those are short.
            self._socket.setsockopt(MAXMSGSIZE, REQUEST_BYTES_MAX)
            if config.keys is not None and config.allow is not None:
                name = f"wake notices on {config.publish}"
                keys = read_keys(config.keys)
                secure_server(self._socket, keys, allow=config.allow, name=name)
            try:
                self._socket.bind(config.publish)
            except ZMQError as exc:
                raise AddressUnusable(
                    f"cannot publish wake notices on {config.publish} ({exc.strerror}): stop who "
                    "listens there, or choose another endpoint"
                ) from exc

    def first_held(self, host: bytes) -> None:
        """Begin to raise notices for `host`, until nobody waits for it. Does not park."""
        if self._config.publish or self._config.command:
            spawn(self._notify_while_held, host, name=f"wake {host.decode('ascii')}")

    def close(self) -> None:
        """Close the socket. Parks for a moment."""
        if self._context is not None:
            self._context.destroy(linger=0)

    def _notify_while_held(self, host: bytes) -> None:
        holding = self.holding
        while holding is not None and holding.is_held(host):
            self._publish(host)
            if self._config.command:
                run_in_worker(self._run_command, self._config.command, host.decode("ascii"))
            sleep(self._config.repeat_s)

    def _publish(self, host: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send_multipart([NOTICE, host])
        except ZMQError as exc:
            _log.warning("cannot publish that %s has a request: %s", host.decode("ascii"), exc)

    @staticmethod
    def _run_command(command: list[str], host: str) -> None:
        # In a native thread.
        try:
            process = subprocess.Popen(
                [word.replace("{host}", host) for word in command],
                env={**os.environ, "VERDANT_HOST": host},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as exc:
            _log.warning("cannot run the wake command %s: %s", command[0], exc.strerror)
            return
        try:
            status = process.wait(COMMAND_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _log.warning("the wake command %s ran over %g s", command[0], COMMAND_S_MAX)
            return
        if status:
            _log.warning("the wake command %s ended with status %d", command[0], status)
