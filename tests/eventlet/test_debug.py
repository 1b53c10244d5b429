from __future__ import annotations

from typing import Any

import pytest

from verdant import eventlet
from verdant.eventlet import debug
from verdant.eventlet.green import socket


def test_spew_shows_lines_and_values(capsys: Any) -> None:
    def traced(value: int) -> int:
        return value + 1

    debug.spew([__name__], show_values=True)
    try:
        traced(41)
    finally:
        debug.unspew()
    out = capsys.readouterr().out
    assert "return value + 1" in out
    assert "value=41" in out
    assert __name__ in out


def test_listeners_and_timers_are_told() -> None:
    left, right = socket.socketpair()
    thread = eventlet.spawn(left.recv, 1)
    timer = eventlet.hubs.get_hub().schedule_call_global(10, lambda: None)
    eventlet.sleep(0)
    text = debug.format_hub_listeners()
    readers, writers = text.split("WRITERS:")
    assert readers.startswith("READERS:")
    assert str(left.fileno()) in readers
    assert writers.strip() == ""
    assert debug.format_hub_timers().startswith("TIMERS:")
    assert debug.format_hub_timers().count("Timer(") >= 1
    timer.cancel()
    right.send(b"x")
    thread.wait()
    left.close()
    right.close()
    assert debug.format_threads_info().startswith("THREADS:")


def test_failures_can_be_silenced(capfd: Any) -> None:
    def fail() -> None:
        raise RuntimeError("silenced")

    debug.hub_exceptions(False)
    try:
        eventlet.spawn_n(fail)
        eventlet.hubs.get_hub().schedule_call_global(0, fail)
        eventlet.sleep(0.01)
        assert capfd.readouterr().err == ""
    finally:
        debug.hub_exceptions(True)
    eventlet.spawn_n(fail)
    eventlet.sleep(0)
    assert "silenced" in capfd.readouterr().err


def test_switches_that_are_taken() -> None:
    debug.hub_listener_stacks(True)
    debug.hub_listener_stacks(False)
    debug.hub_timer_stacks(True)
    debug.hub_timer_stacks(False)
    debug.tpool_exceptions(False)


@pytest.mark.differs("several readers of one descriptor are served in turn")
def test_several_readers() -> None:
    debug.hub_prevent_multiple_readers(True)
    left, right = socket.socketpair()
    readers = [eventlet.spawn(left.recv, 1) for _ in range(2)]
    eventlet.sleep(0)
    right.sendall(b"ab")
    assert {reader.wait() for reader in readers} == {b"a", b"b"}
    left.close()
    right.close()
