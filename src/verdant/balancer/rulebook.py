"""Rulebook: the one way in which rules change.

Place     balancer; between the management API, the durable state and those who serve requests.
Promise   when a change returns it is durable and every request from then on meets it, in every
          process; a change that cannot be made durable changes nothing. Changes happen in one
          order, the same everywhere, and are told in it.
Not here  what a rule may be (rules.py), the disk (state.py), handing changes out (crew.py), what
          is told of a change (chronicle.py), what requests came to (insight.py).

    set_rule ──▶ queue ──▶ committer: all that is queued, one write ──▶ crew: numbered, sent
                                                      │                  └─▶ confirmed ──▶ returns
                                                      └─▶ chronicle: feed, audit, activity

A disk needs milliseconds for a write to be durable, whether it has one change or a hundred, so
changes of single rules that came meanwhile share the next one, as far as one caller made them: the
audit names who changed what. Changes that read before they write run alone, in their turn. The next
write begins while the last one's changes are being confirmed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from verdant.balancer.audit import acting_for
from verdant.balancer.chronicle import Chronicle
from verdant.balancer.edits import Applied, Edit, check
from verdant.balancer.errors import BadRule, StateUnwritable
from verdant.balancer.insight import Insight, Observers
from verdant.balancer.proxy_rule import Proxy, check_backends
from verdant.balancer.rules import normalise_host
from verdant.core import run_in_worker, spawn
from verdant.sync import Future

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from verdant.balancer.proxy_rule import BackendEntry
    from verdant.balancer.routing import Changes
    from verdant.balancer.rules import Rule
    from verdant.balancer.stores import StateStore

__all__ = ["Crew", "Rulebook"]

# Of changes in one write: one line of the journal, which is read whole.
CHANGES_PER_WRITE_MAX = 1000


class Crew(Observers, Protocol):
    """Those who serve requests."""

    def publish(self, changes: Changes) -> int:
        """Hand a change out; returns its number for `wait`. Does not park."""
        ...

    def wait(self, number: int) -> None:
        """Return when every request meets the change of that number. Parks."""
        ...

    def wait_until_left(self, host: str, address: tuple[str, int], timeout_s: float) -> int:
        """Wait until nothing is under way on a backend that was removed; how much still is."""
        ...


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of a job: what its write changed, and the table's version then."""

    changes: Changes
    version: int


@dataclass(slots=True)
class _Job:
    """A change that waits for its turn: of one host, or whatever `write` does."""

    host: str = ""
    rule: Rule | None = None
    write: Callable[[], Changes] | None = None
    by: str = field(default_factory=acting_for.get)
    done: Future[_Done] = field(default_factory=Future)


class Rulebook(Insight):
    """Changes rules for everybody, and tells what requests came to."""

    def __init__(self, state: StateStore, crew: Crew) -> None:
        self._state = state
        self._crew = crew
        self._chronicle = Chronicle(state.version)
        self.feed = self._chronicle.feed
        super().__init__(crew, self._chronicle.activity)
        self._jobs: deque[_Job] = deque()
        self._committing = False
        # Of the change handed out last. One that changes nothing waits for it too: what it asks
        # for may be durable already and not yet in force.
        self._number: int | None = None

    @property
    def version(self) -> int:
        """The table's version: goes up with each change, and is kept on disk."""
        return self.feed.version

    def rules(self) -> Mapping[str, Rule]:
        """All rules by host, as they are durable now; read only. Does not park.

        Reading one makes a `Rule`; take a list of its hosts before you look at many.
        """
        return self._state.rules

    def set_rule(self, host: str, rule: Rule) -> None:
        """Give `host` a rule. Parks until it is durable. Raises `BadRule`, `StateUnwritable`."""
        self._do(_Job(normalise_host(host), rule))

    def delete_rule(self, host: str) -> None:
        """Take a host's rule away. Parks until that is durable. Raises as `set_rule`."""
        self._do(_Job(normalise_host(host)))

    def replace_rules(self, rules: Mapping[str, Rule]) -> None:
        """Have these rules and no others, in one step. Parks. Raises as `set_rule`."""
        self._change(self._state.replace_all, rules)

    def apply(self, edit: Edit) -> Applied:
        """Make an edit whole or not at all, in one write. Parks.

        Raises as `set_rule`, and `Conflict` when a condition of the edit does not hold.
        """
        done = self._change(self._write_edit, edit)
        return Applied(done.version, len(done.changes.put), len(done.changes.deleted))

    def _write_edit(self, edit: Edit) -> Changes:
        check(edit, self._state.rules, self._state.version)
        if edit.replace:
            return self._state.replace_all(edit.put)
        return self._state.change(edit.put, edit.delete)

    def backends(self, host: str) -> list[dict[str, object]]:
        """What is known of each backend of a host's rule. Raises `BadRule`. Parks."""
        self._proxy_of(host)
        return self._observers.backends(host)

    def add_backend(self, host: str, entry: BackendEntry) -> None:
        """Add a backend to a host's rule, or give it this weight and limit. Parks.

        Raises as `set_rule`, and `BadRule` for a rule without backends.
        """
        self._change(self._write_with_backend, host, entry)

    def remove_backend(self, host: str, address: tuple[str, int], drain_s: float) -> int:
        """Take a backend out of a host's rule and let it finish what it has under way. Parks.

        Returns how many of its exchanges are not over after `drain_s` seconds; 0 when the rule does
        not name it. Raises as `add_backend`, and `BadRule` for a rule's last backend.
        """
        done = self._change(self._write_without_backend, host, address)
        return self._crew.wait_until_left(host, address, drain_s) if done.changes else 0

    def _proxy_of(self, host: str) -> tuple[Rule, Proxy]:
        rule = self._state.rules.get(host)
        if rule is None or not isinstance(rule.arguments, Proxy):
            what = "no rule" if rule is None else f"the action {rule.action}"
            raise BadRule("host_not_proxy", f"{host} has {what}, which has no backends")
        return rule, rule.arguments

    # Read and write in one turn, so that two calls at once lose nothing.

    def _write_with_backend(self, host: str, entry: BackendEntry) -> Changes:
        rule, action = self._proxy_of(host)
        kept = [other for other in action.backends if other.address != entry.address]
        return self._write_backends(host, rule, action, [*kept, entry])

    def _write_without_backend(self, host: str, address: tuple[str, int]) -> Changes:
        rule, action = self._proxy_of(host)
        kept = [other for other in action.backends if other.address != address]
        return self._write_backends(host, rule, action, kept)

    def _write_backends(
        self, host: str, rule: Rule, action: Proxy, entries: list[BackendEntry]
    ) -> Changes:
        try:
            backends = check_backends(entries)
        except ValueError as exc:
            raise BadRule("host_kwarg_invalid:backends", f"the rule of {host} {exc}") from exc
        return self._state.set(host, replace(rule, arguments=replace(action, backends=backends)))

    # Turns

    def _change(self, write: Callable[..., Changes], *args: object) -> _Done:
        """Run `write(*args)` in a native thread, alone, and hand out what it changed. Parks."""
        return self._do(_Job(write=lambda: write(*args)))

    def _do(self, job: _Job) -> _Done:
        self._jobs.append(job)
        if not self._committing:
            self._committing = True
            # A green thread of its own: a caller that is cancelled half-way must not leave a rule
            # that is durable and not in force.
            spawn(self._commit_all, name="rule changes")
        return job.done.wait()

    def _commit_all(self) -> None:
        try:
            while self._jobs:
                jobs = self._next_jobs()
                try:
                    changes = run_in_worker(self._write, jobs)
                except Exception as exc:  # noqa: BLE001 - raised in the callers
                    if isinstance(exc, StateUnwritable):
                        # It has used a number up.
                        self.feed.skip_to(self._state.version)
                    for job in jobs:
                        job.done.set_exception(exc)
                    continue
                # Nothing parks between the write's end and this, so the order is the disk's.
                version = self._state.version
                if changes:
                    self._number = self._crew.publish(changes)
                    self._chronicle.record(version, changes, jobs[0].by)
                done = _Done(changes, version)
                spawn(self._confirm, self._number, jobs, done, name="rule change")
        finally:
            self._committing = False

    def _next_jobs(self) -> list[_Job]:
        first = self._jobs.popleft()
        jobs = [first]
        while first.write is None and self._jobs and len(jobs) < CHANGES_PER_WRITE_MAX:
            following = self._jobs[0]
            if following.write is not None or following.by != first.by:
                break
            jobs.append(self._jobs.popleft())
        return jobs

    def _write(self, jobs: list[_Job]) -> Changes:
        # In a native thread.
        if jobs[0].write is not None:
            return jobs[0].write()
        last = {job.host: job.rule for job in jobs}
        put = {host: rule for host, rule in last.items() if rule is not None}
        return self._state.change(put, [host for host in last if host not in put])

    def _confirm(self, number: int | None, jobs: list[_Job], done: _Done) -> None:
        try:
            if number is not None:
                self._crew.wait(number)
        except Exception as exc:  # noqa: BLE001 - raised in the callers
            for job in jobs:
                job.done.set_exception(exc)
            return
        for job in jobs:
            job.done.set_result(done)
