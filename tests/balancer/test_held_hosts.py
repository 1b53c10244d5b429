from __future__ import annotations

from verdant.balancer.held_hosts import HeldHosts


def test_the_first_and_the_last_of_all_workers_count() -> None:
    said: list[tuple[str, bytes]] = []
    held = HeldHosts(lambda host: said.append(("first", host)), lambda h: said.append(("none", h)))
    held.hold(b"one", b"a")
    held.hold(b"two", b"a")
    held.release(b"one", b"a")
    assert said == [("first", b"a")]
    assert held.held() == [b"a"]
    held.hold(b"one", b"b")
    held.forget(b"two")
    held.release(b"two", b"a")
    assert said == [("first", b"a"), ("first", b"b"), ("none", b"a")]
    held.hold(b"one", b"a")
    assert said[-1] == ("first", b"a")
