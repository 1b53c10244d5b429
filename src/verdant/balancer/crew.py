"""Crew: the workers as the supervisor speaks to them.

Place     balancer, above ZeroMQ; rulebook.py hands changes out through it, supervisor.py has the
          processes behind the members.
Promise   `wait(n)` returns when every worker that serves, or still finishes requests, has change n
          in force. One that says nothing for `CONFIRM_S_MAX` meanwhile is reported `late`, so that
          it is ended; then the rest suffices. A worker serves from the moment when it has every
          change there is, so none can be missed in between.
Not here  what is said (rule_feed.py), starting and ending processes (supervisor.py).
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tempfile
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from verdant.balancer.crew_sums import add_backends, add_held
from verdant.balancer.ledger import Ledger
from verdant.balancer.rule_feed import (
    PROTOCOL,
    Accept,
    Accepting,
    Answer,
    Applied,
    Ask,
    Change,
    Counts,
    Drain,
    Held,
    Hello,
    NoneHeld,
    Snapshot,
    Taken,
    Want,
    decode_for_supervisor,
    encode,
)
from verdant.balancer.rule_texts import text_of
from verdant.balancer.statistics import OTHERS
from verdant.core import monotonic, sleep, spawn
from verdant.sync import Event, Semaphore
from verdant.zmq import LINGER, RCVHWM, ROUTER, SNDHWM, Context, ZMQError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from verdant.balancer.held_hosts import HeldHosts
    from verdant.balancer.routing import Changes
    from verdant.balancer.rule_feed import ToSupervisor, ToWorker
    from verdant.balancer.statistics import Statistics
    from verdant.balancer.stores import StateStore

__all__ = ["CONFIRM_S_MAX", "FeedCrew", "Member"]

# A worker whose hub stands still for so long serves nobody.
CONFIRM_S_MAX = 5.0
# Those who answer late are told as they were at their last report, a second ago.
ASK_S_MAX = 0.5
# A piece takes a millisecond to make, and as long to take in.
TEXTS_PER_PIECE = 5000
# A change of more hosts goes out as a snapshot, in pieces: nobody's hub stands still for it.
CHANGE_HOSTS_MAX = 5000
# As many pieces are under way to a worker at once: memory, some 4 MB.
PIECES_AHEAD = 8

_log = logging.getLogger("verdant.balancer")


class Member:
    """A worker, as far as the feed goes. `name` is the routing id of its socket."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        # False until its first snapshot is begun: changes before that are in it.
        self.following = False
        self.serving = False
        self.applied = -1
        self.heard_at = monotonic()
        self.credit = Semaphore(PIECES_AHEAD)
        self.accepting = Event()
        # Why it is of no use, for who waits for it.
        self.refused = ""


class FeedCrew:
    """The workers of a balancer. `late(member)` must end that worker and then `forget` it."""

    def __init__(
        self, store: StateStore, held: HeldHosts, late: Callable[[Member], object]
    ) -> None:
        self._store = store
        self._held = held
        self._late = late
        self.ledger = Ledger()
        # Of the last change handed out.
        self.number = 0
        self._members: dict[bytes, Member] = {}
        # Who waits for a number; numbers ascend.
        self._waiting: deque[tuple[int, Event]] = deque()
        self._tickets = itertools.count(1)
        self._asked: dict[int, dict[bytes, bytes | None]] = {}
        self._answered: dict[int, Event] = {}
        self._moved: Callable[[list[str]], object] = lambda _: None
        # For this user alone: who can connect could confirm what is not so. The directory is gone
        # with us; after a SIGKILL an empty one stays behind.
        place = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        if not os.access(place, os.W_OK):
            place = tempfile.gettempdir()
        self._directory = tempfile.mkdtemp(prefix="verdant-", dir=place)
        self.endpoint = f"ipc://{self._directory}/feed"
        self._context = Context()
        self._socket = self._context.socket(ROUTER)
        for option in (SNDHWM, RCVHWM):
            # Nothing is dropped: what a stuck worker can pile up ends with it after CONFIRM_S_MAX.
            self._socket.setsockopt(option, 0)
        self._socket.setsockopt(LINGER, 0)
        self._socket.bind(self.endpoint)
        self._receiver = spawn(self._receive, name="rule feed")

    def close(self) -> None:
        """Close the feed. Parks for a moment."""
        self._receiver.cancel()
        self._receiver.join()
        self._context.destroy(linger=0)
        shutil.rmtree(self._directory, ignore_errors=True)

    # Members

    def expect(self, name: bytes) -> Member:
        """A worker that will say Hello under this name."""
        member = self._members[name] = Member(name)
        return member

    def forget(self, member: Member) -> None:
        """The worker is gone. Does not park."""
        if self._members.pop(member.name, None) is None:
            return
        self.ledger.forget(member.name)
        self._held.forget(member.name)
        member.refused = member.refused or "it ended before it served"
        member.accepting.set()
        for ticket in list(self._asked):
            self._asked[ticket].pop(member.name, None)
            self._look_at(ticket)
        self._confirm()

    def drain(self, member: Member, grace_s: float, idle_s: float) -> None:
        """Have it stop serving and end. Does not park."""
        self._send(member, Drain(grace_s, idle_s))

    def _send(self, member: Member, message: ToWorker) -> None:
        self._send_frame(member, encode(message))

    def _send_frame(self, member: Member, frame: bytes) -> None:
        try:
            self._socket.send_multipart([member.name, frame])
        except ZMQError as exc:
            if not self._socket.closed:
                _log.warning("cannot speak to worker %s: %s", member.name.decode(), exc)

    # Changes

    def publish(self, changes: Changes) -> int:
        """Hand a change out; returns its number. Does not park."""
        self.number += 1
        self.ledger.retire(changes.deleted)
        following = [member for member in self._members.values() if member.following]
        if len(changes.put) + len(changes.deleted) > CHANGE_HOSTS_MAX:
            for member in following:
                spawn(self._send_snapshot, member, name="snapshot for a worker")
            return self.number
        put = {host: text_of(rule) for host, rule in changes.put.items()}
        frame = encode(Change(self.number, put, [*changes.deleted]))
        for member in following:
            self._send_frame(member, frame)
        return self.number

    def wait(self, number: int) -> None:
        """Return when every worker that serves has change `number` in force. Parks."""
        while self._missing(number):
            confirmed = Event()
            self._waiting.append((number, confirmed))
            if not confirmed.wait(CONFIRM_S_MAX):
                silent_since = monotonic() - CONFIRM_S_MAX
                for member in self._missing(number):
                    # One that takes a snapshot in says so piece by piece.
                    if member.heard_at < silent_since:
                        self._late(member)

    def _missing(self, number: int) -> list[Member]:
        return [m for m in self._members.values() if m.serving and m.applied < number]

    def _confirm(self) -> None:
        lowest = min((m.applied for m in self._members.values() if m.serving), default=self.number)
        waiting = self._waiting
        while waiting and waiting[0][0] <= lowest:
            waiting.popleft()[1].set()

    def _send_snapshot(self, member: Member) -> None:
        # A change that is on disk and not handed out yet is in this copy already, and comes again:
        # taking it twice makes no difference.
        number, texts = self.number, [*self._store.rules.texts.items()]
        member.following = True
        starts = range(0, len(texts), TEXTS_PER_PIECE) or [0]
        for start in starts:
            member.credit.acquire()
            if self._members.get(member.name) is not member:
                return
            piece = {
                host.encode("ascii"): text for host, text in texts[start : start + TEXTS_PER_PIECE]
            }
            last = start == starts[-1]
            self._send(member, Snapshot(number, start == 0, last, piece))
            sleep(0)

    # Questions

    def ask(self, topic: str, argument: bytes = b"", timeout_s: float = ASK_S_MAX) -> list[bytes]:
        """What every worker that serves answers, but for those that need longer. Parks."""
        serving = [member for member in self._members.values() if member.serving]
        if not serving:
            return []
        ticket = next(self._tickets)
        answers = self._asked[ticket] = dict.fromkeys(member.name for member in serving)
        answered = self._answered[ticket] = Event()
        try:
            for member in serving:
                self._send(member, Ask(ticket, topic, argument))
            answered.wait(timeout_s)
        finally:
            del self._asked[ticket], self._answered[ticket]
        return [body for body in answers.values() if body is not None]

    def _look_at(self, ticket: int) -> None:
        if None not in self._asked[ticket].values():
            self._answered[ticket].set()

    @property
    def totals(self) -> Statistics:
        """The counters of all workers together, as they last told."""
        return self.ledger.totals

    def refresh(self) -> None:
        """Have every worker tell what it counted. Parks."""
        # A worker reports first and then answers, on the same way.
        self.ask("counts")

    def tell_activity(self, moved: Callable[[list[str]], object]) -> None:
        """Have `moved` hear of the hosts whose requests workers tell of. Does not park."""
        self._moved = moved

    def has_moved(self, host: str) -> bool:
        """True while a request of `host` is open. Does not park."""
        return self.ledger.totals.counts(host)["open_requests"] > 0

    def held_by_host(self) -> dict[str, int]:
        """How many requests are held for each host, by all workers together. Parks."""
        return add_held(msgspec.json.decode(body) for body in self.ask("held"))

    def backends(self, host: str) -> list[dict[str, object]]:
        """What all workers together know of the backends of a host's rule. Parks."""
        answers = self.ask("backends", host.encode("ascii"))
        return add_backends(msgspec.json.decode(body) for body in answers)

    def wait_until_left(self, host: str, address: tuple[str, int], timeout_s: float) -> int:
        """Wait until no worker has anything under way on a backend that was removed. Parks.

        Returns how much still is after `timeout_s` seconds.
        """
        question = msgspec.json.encode((host, address, timeout_s))
        return sum(int(body) for body in self.ask("left", question, timeout_s + ASK_S_MAX))

    # What workers say

    def _receive(self) -> None:
        while True:
            name, frame = self._socket.recv_multipart()
            member = self._members.get(name)
            if member is None:
                continue
            member.heard_at = monotonic()
            try:
                message = decode_for_supervisor(frame)
            except msgspec.MsgspecError as exc:
                _log.warning("worker %s says what is no message: %s", name.decode(), exc)
                self._late(member)
                continue
            self._hear(member, message)

    def _hear(self, member: Member, message: ToSupervisor) -> None:
        match message:
            case Applied(number):
                self._note_applied(member, number)
            case Taken():
                member.credit.release()
            case Accepting():
                member.accepting.set()
            case Hello(protocol) if protocol != PROTOCOL:
                member.refused = f"it speaks version {protocol} of the feed, not {PROTOCOL}"
                member.accepting.set()
            case Hello() | Want():
                spawn(self._send_snapshot, member, name="snapshot for a worker")
            case _:
                self._hear_news(member, message)

    def _note_applied(self, member: Member, number: int) -> None:
        member.applied = number
        if member.serving:
            self._confirm()
        elif number == self.number:
            member.serving = True
            self._send(member, Accept())

    def _hear_news(self, member: Member, message: ToSupervisor) -> None:
        match message:
            case Counts(counts):
                self.ledger.add(member.name, counts)
                self._note_counted(counts)
            case Held(host):
                self._held.hold(member.name, host)
            case NoneHeld(host):
                self._held.release(member.name, host)
            case Answer(ticket, body):
                if ticket in self._asked and member.name in self._asked[ticket]:
                    self._asked[ticket][member.name] = body
                    self._look_at(ticket)

    def _note_counted(self, hosts: Iterable[str]) -> None:
        rules = self._store.rules
        known, gone = [], []
        for host in hosts:
            if host in rules:
                known.append(host)
            elif host != OTHERS:
                gone.append(host)
        self._moved(known)
        self.ledger.retire(gone)
