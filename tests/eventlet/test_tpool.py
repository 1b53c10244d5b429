from __future__ import annotations

import _thread
import copy
import time
from typing import TYPE_CHECKING, Any

import pytest

from verdant import eventlet
from verdant.eventlet import tpool

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _twenty_threads() -> Iterator[None]:
    yield
    tpool.killall()
    tpool.set_num_threads(20)


def test_it_runs_in_another_thread() -> None:
    assert tpool.execute(_thread.get_ident) != _thread.get_ident()
    assert tpool.execute(lambda a, b=0: a - b, 5, b=2) == 3


def test_others_run_meanwhile() -> None:
    turns: list[int] = []
    done: list[bool] = []

    def blocking() -> None:
        # It ends only if the hub goes on.
        while len(turns) < 10:
            time.sleep(0.001)
        done.append(True)

    def counter() -> None:
        for turn in range(10):
            turns.append(turn)
            eventlet.sleep(0)

    thread = eventlet.spawn(tpool.execute, blocking)
    eventlet.spawn(counter)
    thread.wait()
    assert done == [True]


def test_errors_come_back() -> None:
    with pytest.raises(ZeroDivisionError):
        tpool.execute(lambda: 1 // 0)


def test_a_call_inside_a_call_stays_in_its_thread() -> None:
    def outer() -> tuple[int, int]:
        return _thread.get_ident(), tpool.execute(_thread.get_ident)

    one, two = tpool.execute(outer)
    assert one == two != _thread.get_ident()


def test_no_threads_means_here() -> None:
    tpool.set_num_threads(0)
    assert tpool.execute(_thread.get_ident) == _thread.get_ident()


@pytest.mark.differs("Eventlet looks at the number when the threads are started")
def test_fewer_than_none_is_an_error() -> None:
    with pytest.raises(AssertionError):
        tpool.set_num_threads(-1)


def test_it_can_be_used_again_after_killall() -> None:
    tpool.execute(int)
    tpool.killall()
    assert tpool.execute(lambda: "again") == "again"


class Connection:
    def __init__(self) -> None:
        self.name = "plain"
        self.inner = [1, 2]

    def ident(self) -> int:
        return _thread.get_ident()

    def cursor(self) -> Cursor:
        return Cursor()

    def __call__(self, value: Any) -> Any:
        return value, _thread.get_ident()

    def __enter__(self) -> str:
        return "entered"

    def __exit__(self, *exc: object) -> None:
        self.name = "left"

    def __getitem__(self, key: int) -> tuple[int, int]:
        return key, _thread.get_ident()

    def __copy__(self) -> str:
        return "copied"


class Cursor:
    def fetch(self) -> int:
        return _thread.get_ident()


def test_proxy_calls_in_other_threads() -> None:
    here = _thread.get_ident()
    proxy = tpool.Proxy(Connection())
    assert proxy.ident() != here
    assert proxy.ident(nonblocking=True) == here
    assert proxy.name == "plain"
    value, where = proxy("x")
    assert value == "x"
    assert where != here
    assert proxy[3][0] == 3
    with proxy as entered:
        assert entered == "entered"
    assert proxy.name == "left"


@pytest.mark.differs("in Eventlet the call has an argument too many")
def test_proxies_can_be_copied() -> None:
    assert copy.copy(tpool.Proxy(Connection())) == "copied"


def test_proxy_wraps_what_it_is_told_to() -> None:
    by_class = tpool.Proxy(Connection(), autowrap=(Cursor,))
    assert isinstance(by_class.cursor(), tpool.Proxy)
    assert by_class.cursor().fetch() != _thread.get_ident()
    by_name = tpool.Proxy(Connection(), autowrap_names=("cursor", "inner"))
    assert isinstance(by_name.cursor(), tpool.Proxy)
    assert isinstance(by_name.inner, tpool.Proxy)
    assert not isinstance(tpool.Proxy(Connection()).cursor(), tpool.Proxy)


def test_proxy_looks_like_what_it_stands_for() -> None:
    items = [3, 1, 2]
    proxy = tpool.Proxy(items)
    assert len(proxy) == 3
    assert proxy == items
    assert repr(proxy) == "[3, 1, 2]"
    assert str(proxy) == "[3, 1, 2]"
    assert proxy[0] == 3
    proxy[0] = 9
    assert items == [9, 1, 2]
    assert list(proxy) == [9, 1, 2]
    assert not tpool.Proxy([])
    assert hash(tpool.Proxy("x")) == hash("x")
