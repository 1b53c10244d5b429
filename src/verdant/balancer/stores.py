"""Stores: where rules are kept, as the rest of the balancer sees it.

Place     balancer; rulebook.py changes rules through a `StateStore`, crew.py reads them for the
          workers. `State` (state.py) keeps them in a directory, `MemoryStore` until the process
          ends.
Promise   the same of every store: when a change returns it is kept, when it raises nothing has
          changed, and `rules` is what is kept. Changes are made one after the other.
Not here  who may change rules (management.py).

`RuleStore` decides what a change really changes and leaves one thing to a store: to keep it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from verdant.balancer.changefeed import HOSTS_TOLD_MAX
from verdant.balancer.routing import Changes
from verdant.balancer.rule_texts import RuleTexts
from verdant.balancer.rules import Rule, normalise_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MemoryStore", "RuleStore", "StateStore"]


class StateStore(Protocol):
    """What the balancer needs of a store. Calls that change rules may block: run them in a worker.

    They return what really changed, with what was there before, and raise `BadRule` for no host
    name, `StateUnwritable`.
    """

    rules: RuleTexts
    version: int

    def set(self, host: str, rule: Rule) -> Changes:
        """Keep `rule` for `host`."""
        ...

    def delete(self, host: str) -> Changes:
        """Keep no rule for `host`."""
        ...

    def replace_all(self, rules: Mapping[str, Rule]) -> Changes:
        """Keep exactly `rules`, all at once."""
        ...

    def change(self, put: Mapping[str, Rule], delete: Iterable[str] = ()) -> Changes:
        """Several changes as one; `put` wins over `delete`."""
        ...

    def close(self) -> None:
        """Give the store up; may be called twice."""
        ...


class RuleStore(ABC):
    """A store but for the keeping; its subclasses have `_keep`.

    Changes may come from several native threads; they are made one after the other.
    """

    def __init__(self) -> None:
        self.rules = RuleTexts()
        self.version = 0
        # Guards every field; held while a change is kept, so changes queue here.
        self._lock = threading.Lock()

    @abstractmethod
    def _keep(self, put: dict[str, Rule], deleted: tuple[str, ...]) -> None:
        """Keep a change as version `self.version + 1`, or raise. The caller holds the lock."""

    def _kept(self) -> None:  # noqa: B027 - a store in memory has nothing to do then
        """What a store may do once a change is kept. The caller holds the lock."""

    def set(self, host: str, rule: Rule) -> Changes:
        """Keep `rule` for `host`. Returns what changed, once it is kept. Blocks.

        Raises `BadRule` for no host name, `StateUnwritable`.
        """
        return self.change({host: rule})

    def delete(self, host: str) -> Changes:
        """Keep no rule for `host`. Returns and raises as `set`. Blocks."""
        return self.change({}, (host,))

    def replace_all(self, rules: Mapping[str, Rule]) -> Changes:
        """Keep exactly `rules`, all at once. Returns and raises as `set`. Blocks."""
        wanted = {normalise_host(host): rule for host, rule in rules.items()}
        with self._lock:
            put = {host: rule for host, rule in wanted.items() if self.rules.differs(host, rule)}
            deleted = tuple(host for host in self.rules if host not in wanted)
            return self._commit(put, deleted)

    def change(self, put: Mapping[str, Rule], delete: Iterable[str] = ()) -> Changes:
        """Several changes as one: all of them are kept, or none. Blocks.

        `put` wins over `delete`. Returns what really changed; equal rules did not.
        Raises as `set`.
        """
        wanted = {normalise_host(host): rule for host, rule in put.items()}
        gone = {normalise_host(host): None for host in delete}
        with self._lock:
            changed = {
                host: rule for host, rule in wanted.items() if self.rules.differs(host, rule)
            }
            deleted = tuple(host for host in gone if host in self.rules and host not in wanted)
            return self._commit(changed, deleted)

    def _commit(self, put: dict[str, Rule], deleted: tuple[str, ...]) -> Changes:
        if not put and not deleted:
            return Changes()
        before: dict[str, bytes] = {}
        if len(put) + len(deleted) <= HOSTS_TOLD_MAX:
            texts = self.rules.texts
            before = {host: texts[host] for host in (*put, *deleted) if host in texts}
        self._keep(put, deleted)
        self.version += 1
        self.rules.apply(put, deleted)
        self._kept()
        return Changes(put, deleted, before)


class MemoryStore(RuleStore):
    """Rules that end with the process: for tests, and for balancers that are told all at start."""

    def __init__(self, rules: Mapping[str, Rule] | None = None) -> None:
        super().__init__()
        if rules:
            self.replace_all(rules)

    def _keep(self, put: dict[str, Rule], deleted: tuple[str, ...]) -> None:
        pass

    def close(self) -> None:
        """Nothing to give up."""
