"""Collector: lines in, by acknowledged batches and by plain PUSH.

Place     logs/server, on green ZeroMQ and the store.
Promise   a batch is acknowledged after the store has it on disk; what comes in while the disk works
          goes into the next commit together. Strangers' frames are counted, never raise.
Not here  the disk (store/), questions (answerer.py), other protocols (inputs/).

    ROUTER ─▶ queue ─┬─▶ one commit for all that wait ─▶ acknowledgements
    PULL   ─▶ lines ─┤
    inputs ─▶ commit ┘
"""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from verdant.core import GreenThread, run_in_worker, sleep, spawn
from verdant.logs.client.spool import Spool
from verdant.logs.codec import Batch, Status, decode_batch, encode_ack
from verdant.logs.errors import BadBatch, BadQuery
from verdant.logs.query import parse_time
from verdant.logs.record import Record
from verdant.sync import Event, Future, Queue
from verdant.zmq import ZMQError
from verdant.zmq.security import Complaints

if TYPE_CHECKING:
    from verdant.logs.store import Store
    from verdant.zmq import Socket

__all__ = ["Collector"]

# Batches that wait for the disk; beyond them senders wait in ZeroMQ's queues, then in their spools.
WAITING_MAX = 256
# How long lines from PULL gather before they make a batch.
PULL_BATCH_S = 0.1

_log = logging.getLogger("verdant.logs")


class Collector:
    """Feeds `store` from the sockets `router` and `pull`. `stored` is set after each commit."""

    def __init__(
        self, store: Store, router: Socket, pull: Socket, name: str, stored: Event
    ) -> None:
        self._store = store
        self._router = router
        self._pull = pull
        self._stored = stored
        self._complaints = Complaints(f"log server {name!r} got what it cannot store")
        # Who waits for the result: a ROUTER's peer, or a green thread of this process.
        self._waiting: Queue[tuple[bytes | Future[tuple[Status, str]], Batch]] = Queue(WAITING_MAX)
        # Lines from PULL become batches of this server's own.
        self._plain = Spool(f"pull@{name}@{socket.gethostname()}")
        self._threads: list[GreenThread[None]] = []

    @property
    def rejected(self) -> int:
        """Messages and lines that were none."""
        return self._complaints.count

    def start(self) -> None:
        """Begin to collect. Does not park."""
        self._threads = [
            spawn(self._receive, name="collector"),
            spawn(self._commit, name="committer"),
            spawn(self._receive_plain, name="plain collector"),
            spawn(self._gather_plain, name="plain batches"),
        ]

    def stop(self) -> None:
        """Stop collecting; what was acknowledged is on disk. Parks for a moment."""
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()

    def commit(self, batch: Batch) -> tuple[Status, str]:
        """Store `batch` with whatever else waits; the store's word on it. Parks until then."""
        result: Future[tuple[Status, str]] = Future()
        self._waiting.put((result, batch))
        return result.wait()

    def _receive(self) -> None:
        while True:
            sender, *frames = self._router.recv_multipart()
            try:
                batch = decode_batch(frames)
            except BadBatch as exc:
                self._complaints.note(f"frames from a client are not a batch: {exc}")
                continue
            # Parks while the disk is behind: that is the back-pressure.
            self._waiting.put((sender, batch))

    def _commit(self) -> None:
        while True:
            group = [self._waiting.get()]
            while self._waiting.qsize():
                group.append(self._waiting.get_nowait())
            results = run_in_worker(self._store.append, [batch for _, batch in group])
            self._stored.set()
            for (sender, batch), (status, detail) in zip(group, results, strict=True):
                if isinstance(sender, Future):
                    sender.set_result((status, detail))
                    continue
                if not sender:
                    self._plain.forget(batch.id.seq)
                    continue
                try:
                    self._router.send_multipart([sender, *encode_ack(batch.id, status, detail)])
                except ZMQError as exc:
                    # It left; it will send again and be told "duplicate".
                    _log.debug("cannot acknowledge a batch: %s", exc)

    def _receive_plain(self) -> None:
        while True:
            for frame in self._pull.recv_multipart():
                for line in frame.split(b"\n"):
                    if line.strip():
                        self._take_plain(line)

    def _take_plain(self, line: bytes) -> None:
        try:
            self._plain.put(plain_record(line))
        except (ValueError, RecursionError) as exc:
            # JSON that is no line: nested beyond use, a number of thousands of digits.
            self._complaints.note(f"a plain client's line: {exc}")

    def _gather_plain(self) -> None:
        while True:
            batch = self._plain.take()
            if batch is None:
                sleep(PULL_BATCH_S)
            else:
                self._waiting.put((b"", batch))


def plain_record(line: bytes) -> Record:
    """What a plain client meant by a line: a JSON object, or text as it is. Never raises.

    Known names: time/ts/timestamp, app/program, host/hostname, level/severity, msg/message.
    """
    now_ns = time.time_ns()
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return Record(now_ns, "-", "-", "INFO", line.decode("utf-8", "backslashreplace"))
    fields = {str(name): value for name, value in found.items()}

    def take(*names: str) -> str:
        for name in names:
            if name in fields:
                return str(fields.pop(name))
        return "-"

    moment = take("time", "ts", "timestamp")
    return Record(
        _moment_ns(moment, now_ns),
        take("app", "program"),
        take("host", "hostname"),
        "INFO" if (level := take("level", "severity")) == "-" else level,
        take("msg", "message"),
        fields,
    )


def _moment_ns(text: str, now_ns: int) -> int:
    try:
        return parse_time(text, now_ns)
    except BadQuery:
        return now_ns
