"""Service: one log server, its parts put together.

Place     logs/server; the command line runs it.
Promise   it opens its store before it listens. `stop()` has nothing to save: what was acknowledged
          is on disk, and the next start reads it again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from verdant.core import GreenThread, monotonic, run_in_worker, sleep, spawn
from verdant.errors import VerdantError
from verdant.logs.server.answerer import Answerer
from verdant.logs.server.collector import Collector
from verdant.logs.store import Store, keep_house
from verdant.sync import Event
from verdant.zmq import LAST_ENDPOINT, LINGER, MAXMSGSIZE, PULL, ROUTER, Context, ZMQError

if TYPE_CHECKING:
    from verdant.logs.config import LogServerConfig
    from verdant.zmq import Socket

__all__ = ["EndpointUnusable", "LogService"]

# A frame from a stranger: twice what a batch may have.
FRAME_BYTES_MAX = 8 * 1024 * 1024
# How often the store is asked whether it wants sealing, or has outgrown its disk.
HOUSEKEEPING_S = 1.0
# What has not been said for so long is said again.
REPEATED_S = 60.0

_log = logging.getLogger("verdant.logs")


class EndpointUnusable(VerdantError):
    """Raised when a log server cannot listen where it should. The operator's fault."""

    code = "logs-endpoint-unusable"


class LogService:
    """A log server in this process. Raises `StoreUnwritable`, `StoreInUse`, `EndpointUnusable`."""

    def __init__(self, config: LogServerConfig) -> None:
        self.config = config
        self._store = Store(config.data_dir, config.headroom_bytes)
        self._context = Context()
        try:
            collect = self._bind(ROUTER, config.collect)
            pull = self._bind(PULL, config.pull)
            query = self._bind(ROUTER, config.query)
        except BaseException:
            self._context.destroy(linger=0)
            self._store.close()
            raise
        self.collect_endpoint = self._endpoint(collect)
        self.pull_endpoint = self._endpoint(pull)
        self.query_endpoint = self._endpoint(query)
        stored = Event()
        self._collector = Collector(self._store, collect, pull, config.name, stored)
        self._answerer = Answerer(self._store, query, config.name, stored)
        self._housekeeper: GreenThread[None] | None = None

    def _bind(self, kind: int, endpoint: str) -> Socket:
        socket = self._context.socket(kind)
        socket.setsockopt(LINGER, 0)
        socket.setsockopt(MAXMSGSIZE, FRAME_BYTES_MAX)
        try:
            socket.bind(endpoint)
        except ZMQError as exc:
            raise EndpointUnusable(
                f"log server {self.config.name!r} cannot listen on {endpoint} ({exc.strerror}): "
                "stop who does, or choose another endpoint"
            ) from exc
        return socket

    @staticmethod
    def _endpoint(socket: Socket) -> str:
        name = socket.getsockopt(LAST_ENDPOINT)
        return bytes(name).rstrip(b"\0").decode()

    def start(self) -> None:
        """Begin to serve. Does not park."""
        self._collector.start()
        self._answerer.start()
        self._housekeeper = spawn(self._keep_house, name="log housekeeping")

    def stop(self) -> None:
        """Stop, and let go of the directory. Parks."""
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            self._housekeeper.join()
        self._collector.stop()
        self._answerer.stop()
        self._context.destroy(linger=0)
        run_in_worker(self._store.close)

    def _keep_house(self) -> None:
        said: dict[str, float] = {}
        while True:
            sleep(HOUSEKEEPING_S)
            try:
                sentences = run_in_worker(keep_house, self._store, self.config)
            except Exception as exc:  # noqa: BLE001 - lines are safe in the log; it is tried again
                sentences = [f"the store could not be looked after ({exc!r}): it is tried again"]
            for sentence in sentences:
                # Told once while it lasts, not each second.
                if sentence not in said:
                    _log.warning("%s", sentence)
                said[sentence] = monotonic() + REPEATED_S
            said = {sentence: until for sentence, until in said.items() if until > monotonic()}
