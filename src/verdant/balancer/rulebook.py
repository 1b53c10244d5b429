"""Rulebook: the one way in which rules change.

Place     balancer; between the management API, the durable state and those who serve requests.
Promise   when a change returns it is durable and every request from then on meets it, in every
          process; a change that cannot be made durable changes nothing. Changes happen in one
          order, the same everywhere.
Not here  what a rule may be (rules.py), the disk (state.py), handing changes out (crew.py).

    set_rule ──▶ queue ──▶ committer: all that is queued, one write ──▶ crew: numbered, sent
                                                                         └─▶ confirmed ──▶ returns

A disk needs milliseconds for a write to be durable, whether it has one change or a hundred, so
changes of single rules that came meanwhile share the next one. Changes that read before they write
run alone, in their turn. The next write begins while the last one's changes are being confirmed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from verdant.balancer.rules import normalise_host
from verdant.core import run_in_worker, spawn
from verdant.sync import Future

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from verdant.balancer.routing import Changes
    from verdant.balancer.rules import Rule
    from verdant.balancer.statistics import Counts
    from verdant.balancer.stores import StateStore

__all__ = ["Crew", "Rulebook"]

# Of changes in one write: one line of the journal, which is read whole.
CHANGES_PER_WRITE_MAX = 1000


class Crew(Protocol):
    """Those who serve requests."""

    def publish(self, changes: Changes) -> int:
        """Hand a change out; returns its number for `wait`. Does not park."""
        ...

    def wait(self, number: int) -> None:
        """Return when every request meets the change of that number. Parks."""
        ...

    def statistics(self) -> dict[str, Counts]:
        """Counters by host, of all processes together. Parks."""
        ...


@dataclass(slots=True)
class _Job:
    """A change that waits for its turn: of one host, or whatever `write` does."""

    host: str = ""
    rule: Rule | None = None
    write: Callable[[], Changes] | None = None
    done: Future[None] = field(default_factory=Future)


class Rulebook:
    """Changes rules for everybody, and tells what requests came to."""

    def __init__(self, state: StateStore, crew: Crew) -> None:
        self._state = state
        self._crew = crew
        self._jobs: deque[_Job] = deque()
        self._committing = False
        # Of the change handed out last. One that changes nothing waits for it too: what it asks
        # for may be durable already and not yet in force.
        self._number: int | None = None

    def rules(self) -> Mapping[str, Rule]:
        """All rules by host, as they are durable now; read only. Does not park."""
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

    def statistics(self) -> dict[str, Counts]:
        """Counters by host. Parks while the workers are asked."""
        return self._crew.statistics()

    def _change(self, write: Callable[..., Changes], *args: object) -> None:
        """Run `write(*args)` in a native thread, alone, and hand out what it changed. Parks."""
        self._do(_Job(write=lambda: write(*args)))

    def _do(self, job: _Job) -> None:
        self._jobs.append(job)
        if not self._committing:
            self._committing = True
            # A green thread of its own: a caller that is cancelled half-way must not leave a rule
            # that is durable and not in force.
            spawn(self._commit_all, name="rule changes")
        job.done.wait()

    def _commit_all(self) -> None:
        try:
            while self._jobs:
                jobs = self._next_jobs()
                try:
                    changes = run_in_worker(self._write, jobs)
                except Exception as exc:  # noqa: BLE001 - raised in the callers
                    for job in jobs:
                        job.done.set_exception(exc)
                    continue
                # Nothing parks between the write's end and this, so the order is the disk's.
                if changes:
                    self._number = self._crew.publish(changes)
                spawn(self._confirm, self._number, jobs, name="rule change")
        finally:
            self._committing = False

    def _next_jobs(self) -> list[_Job]:
        jobs = [self._jobs.popleft()]
        while jobs[0].write is None and self._jobs and self._jobs[0].write is None:
            if len(jobs) >= CHANGES_PER_WRITE_MAX:
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

    def _confirm(self, number: int | None, jobs: list[_Job]) -> None:
        try:
            if number is not None:
                self._crew.wait(number)
        except Exception as exc:  # noqa: BLE001 - raised in the callers
            for job in jobs:
                job.done.set_exception(exc)
            return
        for job in jobs:
            job.done.set_result(None)
