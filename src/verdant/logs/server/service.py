"""Service: one log server, its parts put together.

Place     logs/server; the command line runs it.
Promise   it opens its store before it listens. `stop()` has nothing to save: what was acknowledged
          is on disk, and the next start reads it again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verdant.core import GreenThread, run_in_worker, sleep, spawn
from verdant.errors import VerdantError
from verdant.logs.errors import LogsError
from verdant.logs.inputs import Inputs
from verdant.logs.server.answerer import QUESTION_BYTES_MAX, Answerer
from verdant.logs.server.collector import Collector
from verdant.logs.store import Store
from verdant.sync import Event
from verdant.zmq import LAST_ENDPOINT, LINGER, MAXMSGSIZE, PULL, ROUTER, Context, ZMQError
from verdant.zmq.security import Gate, ServerSecurity, read_keys

if TYPE_CHECKING:
    from verdant.logs.config import LogServerConfig
    from verdant.zmq import Socket

__all__ = ["EndpointUnusable", "LogService", "Refused"]

# A frame from a stranger; libzmq ends the connection of who sends more. Twice what a batch may
# have, since a plain client sends its lines as they are.
FRAME_BYTES_MAX = 8 * 1024 * 1024
# How often the store is asked whether it wants sealing, or has outgrown its disk.
HOUSEKEEPING_S = 1.0

_log = logging.getLogger("verdant.logs")


class EndpointUnusable(VerdantError):
    """Raised when a log server cannot listen where it should. The operator's fault."""

    code = "logs-endpoint-unusable"


@dataclass(frozen=True, slots=True)
class Refused:
    """Connections without an allowed key, messages that were no lines, and no questions."""

    connections: int
    batches: int
    questions: int


def _security(config: LogServerConfig) -> ServerSecurity | None:
    if config.keys is None or config.allow is None:
        return None
    return ServerSecurity(read_keys(config.keys), config.allow)


class LogService:
    """A log server in this process.

    Raises `StoreUnwritable`, `StoreInUse`, `EndpointUnusable`, `BadKeyFile`, `InputUnusable`,
    `AddressUnusable`.
    """

    def __init__(self, config: LogServerConfig) -> None:
        self.config = config
        self._store = Store(config.data_dir)
        self._context = Context()
        self._gates: list[Gate] = []
        try:
            security = _security(config)
            collect = self._bind(ROUTER, config.collect, FRAME_BYTES_MAX, security)
            pull = self._bind(PULL, config.pull, FRAME_BYTES_MAX, security)
            query = self._bind(ROUTER, config.query, QUESTION_BYTES_MAX, security)
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
        try:
            self.inputs = Inputs(config, self._collector.commit)
        except BaseException:
            # As when a port of our own cannot be opened.
            self._context.destroy(linger=0)
            self._store.close()
            raise
        self._housekeeper: GreenThread[None] | None = None

    def _bind(
        self, kind: int, endpoint: str, bytes_max: int, security: ServerSecurity | None
    ) -> Socket:
        socket = self._context.socket(kind)
        socket.setsockopt(LINGER, 0)
        socket.setsockopt(MAXMSGSIZE, bytes_max)
        if security is not None:
            name = f"log server {self.config.name!r} on {endpoint}"
            self._gates.append(security.apply(socket, name))
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

    def refused(self) -> Refused:
        """What strangers tried so far. Does not park."""
        return Refused(
            sum(gate.statistics().refused for gate in self._gates),
            self._collector.rejected,
            self._answerer.rejected,
        )

    def start(self) -> None:
        """Begin to serve. Does not park."""
        self._collector.start()
        self._answerer.start()
        self.inputs.start()
        self._housekeeper = spawn(self._keep_house, name="log housekeeping")

    def stop(self) -> None:
        """Stop, and let go of the directory. Parks."""
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            self._housekeeper.join()
        # First: what an input has taken and must still answer for needs the collector.
        self.inputs.stop()
        self._collector.stop()
        self._answerer.stop()
        self._context.destroy(linger=0)
        run_in_worker(self._store.close)

    def _keep_house(self) -> None:
        while True:
            sleep(HOUSEKEEPING_S)
            try:
                if self._store.wants_sealing():
                    run_in_worker(self._store.seal)
                dropped = run_in_worker(self._store.drop_oldest, self.config.store_bytes_max)
            except LogsError as exc:
                _log.error("%s", exc)
                continue
            if dropped:
                _log.warning("the store is over its size: the %d oldest segments went", dropped)
