from __future__ import annotations

import pickle
from typing import Any

import pytest

from verdant import eventlet
from verdant.eventlet.dagpool import Collision, DAGPool, PropagateError

DEPENDS: dict[str, Any] = {"d": ("b", "c"), "e": ["c"], "b": ("a", "zlib"), "c": ["zlib"], "a": ()}


def build(key: str, upstream: Any, flags: str = "") -> str:
    parts = sorted(product for _, product in upstream)
    return f"{key}{flags}({','.join(parts)})"


def test_the_documented_builds() -> None:
    pool = DAGPool()
    pool.spawn("d", ("b", "c"), build)
    pool.spawn("e", iter(["c"]), build, flags=" -pie")
    pool.spawn("b", ("a", "zlib"), build, " -O2")
    pool.spawn("c", ["zlib"], build)
    pool.spawn("a", (), build)
    pool.spawn("zlib", (), build)
    final = pool.waitall()
    assert final["d"] == "d(b -O2(a(),zlib()),c(zlib()))"
    assert final["e"] == "e -pie(c(zlib()))"
    assert set(final) == {"a", "b", "c", "d", "e", "zlib"}
    assert pool.wait(key for key in "de") == {"d": final["d"], "e": final["e"]}
    assert pool["d"] == final["d"]
    assert pool.running() == 0


def test_looking_into_one_that_is_stuck() -> None:
    pool = DAGPool()
    pool.spawn_many(DEPENDS, build)
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert pool.get("d") is None
    assert pool.get("d", "notdone") == "notdone"
    assert pool.running() == 4
    assert pool.waiting() == 4
    assert set(pool.running_keys()) == set("bcde")
    assert pool.keys() == ("a",)
    assert pool.items() == (("a", "a()"),)
    assert pool.waiting_for("d") == {"b", "c"}
    assert pool.waiting_for("b") == {"zlib"}
    assert pool.waiting_for("a") == set()
    with pytest.raises(KeyError):
        pool.waiting_for("zlib")
    assert pool.waiting_for() == {"b": {"zlib"}, "c": {"zlib"}, "d": {"b", "c"}, "e": {"c"}}
    pool.post("zlib", "posted")
    assert pool["e"] == "e(c(posted))"
    assert pool.waitall()["d"] == "d(b(a(),posted),c(posted))"


@pytest.mark.parametrize("preload", [{"a": "A", "zlib": "Z"}, [("a", "A"), ("zlib", "Z")]])
def test_preloading(preload: Any) -> None:
    pool = DAGPool(preload)
    pool.spawn("b", ("a", "zlib"), build)
    assert pool.wait(["b"]) == {"b": "b(A,Z)"}


def test_values_come_as_they_are_ready() -> None:
    pool = DAGPool()
    gates = {key: eventlet.Event() for key in "xyz"}
    for key, gate in gates.items():
        pool.spawn(key, (), lambda key, _, gate: gate.wait(), gate)
    seen: list[Any] = []

    def watch() -> None:
        seen.extend(pool.wait_each("xyz"))

    watcher = eventlet.spawn(watch)
    eventlet.sleep(0)
    for key in "zxy":
        gates[key].send(key.upper())
        eventlet.sleep(0)
        eventlet.sleep(0)
    watcher.wait()
    assert seen == [("z", "Z"), ("x", "X"), ("y", "Y")]
    assert list(pool.wait_each([])) == []
    assert dict(pool.wait_each()) == {"x": "X", "y": "Y", "z": "Z"}


def fail(key: str, results: Any) -> None:
    raise OSError("no compiler")


def test_failures_go_on() -> None:
    pool = DAGPool()
    pool.spawn_many(DEPENDS, build)
    pool.spawn("zlib", (), fail)
    with pytest.raises(PropagateError) as raised:
        pool["e"]
    error: Any = raised.value
    assert str(error) == (
        "PropagateError(e): PropagateError: PropagateError(c): PropagateError:"
        " PropagateError(zlib): OSError: no compiler"
    )
    keys = []
    while isinstance(error, PropagateError):
        keys.append(error.key)
        error = error.exc
    assert keys == ["e", "c", "zlib"]
    assert isinstance(error, OSError)
    with pytest.raises(PropagateError):
        pool.waitall()
    with pytest.raises(PropagateError):
        pool.get("zlib")
    with pytest.raises(PropagateError):
        pool.items()
    assert dict(pool.wait_each_success()) == {"a": "a()"}
    failed = {key: type(err.exc).__name__ for key, err in pool.wait_each_exception()}
    assert failed.pop("zlib") == "OSError"
    assert failed == dict.fromkeys("bcde", "PropagateError")
    assert dict(pool.wait_each_success("de")) == {}
    assert {key for key, _ in pool.wait_each_exception("de")} == {"d", "e"}


def test_collisions() -> None:
    pool = DAGPool({"a": 1})
    with pytest.raises(Collision):
        pool.spawn("a", (), build)
    with pytest.raises(Collision):
        pool.post("a", 2)
    pool.post("a", 2, replace=True)
    assert pool["a"] == 2
    pool.spawn("b", ["never"], build)
    with pytest.raises(Collision):
        pool.post("b", 1)
    with pytest.raises(Collision):
        pool.spawn("b", (), build)
    pool.kill("b")
    pool.post("b", "posted")
    assert pool["b"] == "posted"
    with pytest.raises(KeyError):
        pool.kill("unknown")


@pytest.mark.differs("in Eventlet KeyError is raised for a thread that has begun")
def test_a_thread_that_has_begun_can_be_killed() -> None:
    pool = DAGPool()
    pool.spawn("b", ["never"], build)
    eventlet.sleep(0)
    pool.kill("b")
    pool.post("b", "posted")
    assert pool["b"] == "posted"


def test_a_thread_may_post_its_own_value() -> None:
    pool = DAGPool()

    def own(key: str, results: Any) -> str:
        pool.post(key, "mine")
        return "discarded"

    pool.spawn("k", (), own)
    assert pool["k"] == "mine"
    eventlet.sleep(0)
    assert pool["k"] == "mine"


def test_an_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(PropagateError("key", OSError("x"))))
    assert (error.key, str(error)) == ("key", "PropagateError(key): OSError: x")
