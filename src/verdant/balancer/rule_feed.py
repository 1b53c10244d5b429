"""Rule feed: what supervisor and workers say to each other, and how a worker follows the rules.

Place     balancer, pure: bytes to values and back; crew.py speaks for the supervisor,
          worker_process.py for a worker. One ROUTER and a DEALER per worker, on ipc://.
Promise   a follower has the rules of one number or none; it never skips a change and never takes
          one twice. `Applied(n)` means that all changes up to n are in force there.
Not here  sockets, processes.

    worker                          supervisor
    Hello ───────────────────────▶  who is expected
          ◀─────────────── Snapshot pieces of change n, each answered by Taken
          ◀─────────────── Change n+1, n+2, … from the moment of the snapshot on
    Applied(n) ──────────────────▶
          ◀─────────────── Accept once it has the last change: from here on it counts
    Accepting ───────────────────▶
          ◀─────────────── Change n+3
    Applied(n+3) ────────────────▶  the PUT's 200 when all have said so
    Want  ───────────────────────▶  a gap: a snapshot again

ZeroMQ's PUB and SUB would send a change once for all, but a subscriber that falls behind misses
what is dropped for it, and a 200 needs every worker's word anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

__all__ = [
    "PROTOCOL",
    "Accept",
    "Accepting",
    "Answer",
    "Applied",
    "Ask",
    "Change",
    "Counts",
    "Drain",
    "Follower",
    "Held",
    "Hello",
    "NoneHeld",
    "Snapshot",
    "Step",
    "Taken",
    "Want",
    "decode_for_supervisor",
    "decode_for_worker",
    "encode",
]

# Goes up when one side could misunderstand the other: a restart runs workers of newer code under
# an older supervisor, which refuses them rather than guess.
PROTOCOL = 1


class _ToWorker(msgspec.Struct, frozen=True, tag=True, array_like=True):
    pass


class _ToSupervisor(msgspec.Struct, frozen=True, tag=True, array_like=True):
    pass


class Snapshot(_ToWorker, frozen=True, tag=True, array_like=True):
    """A piece of all rules, as of change `number`: texts by host."""

    number: int
    first: bool
    last: bool
    texts: dict[bytes, bytes]


class Change(_ToWorker, frozen=True, tag=True, array_like=True):
    """What change `number` did: texts of rules by host, and hosts without one."""

    number: int
    put: dict[str, bytes]
    deleted: list[str]


class Accept(_ToWorker, frozen=True, tag=True, array_like=True):
    """Begin to serve."""


class Ask(_ToWorker, frozen=True, tag=True, array_like=True):
    """A question, to be answered under its ticket. `topic` says what about."""

    ticket: int
    topic: str
    argument: bytes = b""


class Drain(_ToWorker, frozen=True, tag=True, array_like=True):
    """Stop serving within `grace_s` seconds, and end. Idle connections may wait `idle_s`."""

    grace_s: float
    idle_s: float


class Hello(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """A worker's first word."""

    protocol: int


class Want(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """A change is missing: send a snapshot."""


class Taken(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """A snapshot's piece was taken in; another may come."""


class Applied(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """Every change up to `number` is in force."""

    number: int


class Accepting(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """It serves."""


class Counts(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """What was counted since the last report: see ledger.py."""

    counts: dict[str, tuple[int, int, int, int]]


class Answer(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """What was asked under `ticket`."""

    ticket: int
    body: bytes


class Held(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """The first request of a host is held."""

    host: bytes


class NoneHeld(_ToSupervisor, frozen=True, tag=True, array_like=True):
    """No request of a host is held any more."""

    host: bytes


ToWorker = Snapshot | Change | Accept | Ask | Drain
ToSupervisor = Hello | Want | Taken | Applied | Accepting | Counts | Answer | Held | NoneHeld

_encode = msgspec.msgpack.Encoder().encode
_for_worker = msgspec.msgpack.Decoder(ToWorker)
_for_supervisor = msgspec.msgpack.Decoder(ToSupervisor)


def encode(message: ToWorker | ToSupervisor) -> bytes:
    """A message as one frame. Does not park."""
    return _encode(message)


def decode_for_worker(frame: bytes) -> ToWorker:
    """What the supervisor says. Raises msgspec.MsgspecError. Does not park."""
    message: ToWorker = _for_worker.decode(frame)
    return message


def decode_for_supervisor(frame: bytes) -> ToSupervisor:
    """What a worker says. Raises msgspec.MsgspecError. Does not park."""
    message: ToSupervisor = _for_supervisor.decode(frame)
    return message


@dataclass(slots=True)
class Step:
    """What a message asks of a worker, in this order."""

    # All rules anew, texts by host.
    load: dict[bytes, bytes] | None = None
    changes: list[Change] = field(default_factory=list)
    # What to say then.
    applied: int | None = None
    want: bool = False


class Follower:
    """Where a worker is in the row of changes. `number` is -1 before the first snapshot."""

    def __init__(self) -> None:
        self.number = -1
        self._loading: dict[bytes, bytes] = {}
        self._behind = True
        # Changes that came while a snapshot is awaited.
        self._pending: list[Change] = []

    def take(self, message: Snapshot | Change) -> Step:
        """What to do on a message. Does not park."""
        if isinstance(message, Snapshot):
            return self._take_piece(message)
        if self._behind:
            self._pending.append(message)
            return Step()
        if message.number <= self.number:
            return Step(applied=self.number)
        if message.number != self.number + 1:
            self._behind = True
            self._pending = [message]
            return Step(want=True)
        self.number = message.number
        return Step(changes=[message], applied=self.number)

    def _take_piece(self, piece: Snapshot) -> Step:
        if piece.first:
            self._loading = {}
            # Changes that come between its pieces belong on top of it.
            self._behind = True
        self._loading.update(piece.texts)
        if not piece.last:
            return Step()
        step = Step(load=self._loading)
        self._loading = {}
        self.number = piece.number
        self._behind = False
        pending, self._pending = self._pending, []
        for change in pending:
            if change.number == self.number + 1:
                step.changes.append(change)
                self.number = change.number
            elif change.number > self.number:
                self._behind = True
                self._pending.append(change)
        step.applied = self.number
        step.want = self._behind
        return step
