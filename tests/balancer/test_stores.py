"""What every store promises, asked of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from verdant.balancer.errors import BadRule
from verdant.balancer.rules import Empty, Rule
from verdant.balancer.state import State
from verdant.balancer.stores import MemoryStore, StateStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def rule(code: int) -> Rule:
    return Rule("empty", Empty(code))


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    made: StateStore = State(tmp_path) if request.param == "file" else MemoryStore()
    yield made
    made.close()


def test_a_change_says_what_it_changed(store: StateStore) -> None:
    assert store.set("A.example:80", rule(200)).put == {"a.example": rule(200)}
    assert not store.set("a.example.", rule(200))
    changes = store.change({"b": rule(201), "a.example": rule(202)}, ("a.example", "gone"))
    assert changes.put == {"b": rule(201), "a.example": rule(202)}
    assert changes.deleted == ()
    assert store.delete("b").deleted == ("b",)
    assert not store.delete("b")
    assert store.rules == {"a.example": rule(202)}
    assert store.version == 3


def test_all_rules_are_replaced_in_one_step(store: StateStore) -> None:
    store.replace_all({"a": rule(200), "b": rule(200)})
    changes = store.replace_all({"b": rule(200), "c": rule(201)})
    assert (changes.put, changes.deleted) == ({"c": rule(201)}, ("a",))
    assert dict(store.rules) == {"b": rule(200), "c": rule(201)}


def test_what_is_refused_changes_nothing(store: StateStore) -> None:
    store.set("a", rule(200))
    with pytest.raises(BadRule):
        store.set("no host", rule(201))
    with pytest.raises(BadRule):
        store.change({"b": rule(201), "no host": rule(201)})
    with pytest.raises(BadRule):
        store.replace_all({"no host": rule(201)})
    assert store.rules == {"a": rule(200)}
    assert store.version == 1


def test_rules_read_as_a_dict_of_them_would(store: StateStore) -> None:
    store.set("a", rule(200))
    assert "a" in store.rules
    assert store.rules.get("b") is None
    assert list(store.rules.items()) == [("a", rule(200))]
    assert len(store.rules) == 1
