from __future__ import annotations

from typing import Any

import pytest

from verdant import eventlet
from verdant.eventlet import corolocal


def test_one_namespace_per_green_thread() -> None:
    local = corolocal.local()
    local.value = "main"
    seen: list[Any] = []

    def use(value: str) -> None:
        assert not hasattr(local, "value")
        local.value = value
        eventlet.sleep(0)
        seen.append(local.value)

    for value in "ab":
        eventlet.spawn(use, value)
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert seen == ["a", "b"]
    assert local.value == "main"
    del local.value
    assert not hasattr(local, "value")


def test_a_subclass_is_initialised_in_each() -> None:
    calls: list[int] = []

    class Counted(corolocal.local):
        def __init__(self, start: int) -> None:
            calls.append(start)
            self.count = start

    counted = Counted(5)
    counted.count += 1
    assert eventlet.spawn(lambda: counted.count).wait() == 5
    assert counted.count == 6
    # Eventlet does so twice in the first.
    assert calls[-2:] == [5, 5]
    with pytest.raises(TypeError):
        corolocal.local("argument")


def test_identifiers() -> None:
    assert corolocal.get_ident() == id(eventlet.getcurrent())
    assert eventlet.spawn(corolocal.get_ident).wait() != corolocal.get_ident()
