from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from verdant import spawn
from verdant.balancer.errors import BadRule, StateUnwritable
from verdant.balancer.rulebook import Rulebook
from verdant.balancer.rules import Empty, Rule
from verdant.balancer.state import State
from verdant.balancer.statistics import Statistics
from verdant.balancer.stores import MemoryStore
from verdant.sync import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from verdant.balancer.routing import Changes


def rule(code: int) -> Rule:
    return Rule("empty", Empty(code))


class Recorder:
    """A crew that remembers what it was handed, and confirms when it is let."""

    def __init__(self) -> None:
        self.published: list[Changes] = []
        self.may_confirm = Event()
        self.waited: list[int] = []

    def publish(self, changes: Changes) -> int:
        self.published.append(changes)
        return len(self.published)

    def wait(self, number: int) -> None:
        self.waited.append(number)
        self.may_confirm.wait()

    # Of requests it knows nothing.

    totals = Statistics()

    def refresh(self) -> None:
        pass

    def has_moved(self, host: str) -> bool:
        return False

    def tell_activity(self, moved: Callable[[list[str]], object]) -> None:
        pass

    def backends(self, host: str) -> list[dict[str, object]]:
        return []

    def held_by_host(self) -> dict[str, int]:
        return {}

    def wait_until_left(self, host: str, address: tuple[str, int], timeout_s: float) -> int:
        return 0


def test_changes_that_come_together_are_written_and_handed_out_together() -> None:
    crew, store = Recorder(), MemoryStore()
    book = Rulebook(store, crew)
    changing = [spawn(book.set_rule, f"h{n}", rule(200)) for n in range(50)]
    changing.append(spawn(book.delete_rule, "h7"))
    crew.may_confirm.set()
    for thread in changing:
        thread.wait()
    assert len(store.rules) == 49
    assert len(crew.published) == store.version <= 3


def test_a_change_that_is_there_already_is_confirmed_like_the_first() -> None:
    crew = Recorder()
    book = Rulebook(MemoryStore(), crew)
    first = spawn(book.set_rule, "a", rule(200))
    while not crew.waited:
        spawn(lambda: None).wait()
    second = spawn(book.set_rule, "a", rule(200))
    while len(crew.waited) < 2:
        spawn(lambda: None).wait()
    assert not first.done
    assert not second.done
    assert crew.waited == [1, 1]
    crew.may_confirm.set()
    first.wait()
    second.wait()


def test_changes_that_cannot_be_kept_are_handed_to_nobody(tmp_path: Path) -> None:
    crew, state = Recorder(), State(tmp_path)
    crew.may_confirm.set()
    book = Rulebook(state, crew)
    with pytest.raises(BadRule):
        book.set_rule("no host", rule(200))
    with pytest.raises(BadRule):
        book.replace_rules({"no host": rule(200)})
    book.set_rule("a", rule(200))
    state.close()
    failing = [spawn(book.set_rule, f"h{n}", rule(200)) for n in range(3)]
    for thread in failing:
        with pytest.raises(StateUnwritable):
            thread.wait()
    assert len(crew.published) == 1
    assert dict(book.rules()) == {"a": rule(200)}
