from __future__ import annotations

import socket as native
from typing import Any

import pytest
from greenlet import getcurrent

from verdant import eventlet
from verdant.eventlet import hubs
from verdant.eventlet.green import socket
from verdant.eventlet.hubs import IOClosed, get_hub, trampoline, use_hub


def test_the_hub_is_one_per_native_thread() -> None:
    hub: Any = get_hub()
    assert get_hub() is hub
    assert hub.greenlet is not getcurrent()
    assert hub.READ == "read"
    assert hub.WRITE == "write"


def test_switching_by_hand() -> None:
    hub = get_hub()
    me = eventlet.getcurrent()
    hub.schedule_call_global(0, me.switch, "value")
    assert hub.switch() == "value"


def test_calls_are_scheduled_with_their_arguments() -> None:
    hub = get_hub()
    seen: list[Any] = []

    def call(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    hub.schedule_call_global(0, call, 1, two=2)
    late = hub.schedule_call_global(0.01, call, "late")
    never = hub.schedule_call_global(0.01, call, "never")
    never.cancel()
    never.cancel()
    assert (late.pending, never.pending) == (True, False)
    eventlet.sleep(0.02)
    assert seen == [((1,), {"two": 2}), (("late",), {})]
    assert late.called


def test_what_is_scheduled_at_once_keeps_its_place_among_spawned_threads() -> None:
    order: list[str] = []
    eventlet.spawn_n(order.append, "a")
    get_hub().schedule_call_global(0, order.append, "b")
    eventlet.spawn_n(order.append, "c")
    eventlet.sleep(0)
    assert order == ["a", "b", "c"]


def test_local_calls_end_with_their_greenlet() -> None:
    hub = get_hub()
    seen: list[str] = []

    def caller() -> None:
        hub.schedule_call_local(0.01, seen.append, "local")
        hub.schedule_call_global(0.01, seen.append, "global")

    eventlet.spawn(caller).wait()
    hub.schedule_call_local(0.01, seen.append, "mine")
    eventlet.sleep(0.02)
    assert seen == ["global", "mine"]


def test_a_call_that_fails_harms_nobody(capfd: Any) -> None:
    def fail() -> None:
        raise RuntimeError("in the hub")

    get_hub().schedule_call_global(0, fail)
    eventlet.sleep(0.01)
    assert "RuntimeError: in the hub" in capfd.readouterr().err


def test_trampoline_waits_for_a_descriptor() -> None:
    left, right = native.socketpair()
    with left, right:
        trampoline(left, write=True)
        reader = eventlet.spawn(trampoline, left.fileno(), read=True)
        eventlet.sleep(0)
        assert not reader.dead
        right.send(b"x")
        reader.wait()
        assert left.recv(1) == b"x"


def test_trampoline_has_a_bound() -> None:
    left, right = native.socketpair()
    with left, right:
        with pytest.raises(eventlet.Timeout):
            trampoline(left, read=True, timeout=0.01)
        with pytest.raises(KeyError):
            trampoline(left, read=True, timeout=0.01, timeout_exc=KeyError("mine"))
        with pytest.raises(RuntimeError, match="trampoline"):
            trampoline(left, read=True, write=True)


def test_who_waits_is_told() -> None:
    hub: Any = get_hub()
    left, right = socket.socketpair()
    fd = left.fileno()
    thread = eventlet.spawn(left.recv, 1)
    eventlet.sleep(0)
    assert fd in [listener.fileno for listener in hub.get_readers()]
    assert fd not in [listener.fileno for listener in hub.get_writers()]
    right.sendall(b"x")
    assert thread.wait() == b"x"
    assert fd not in [listener.fileno for listener in hub.get_readers()]
    left.close()
    right.close()


def test_a_writer_that_waits_is_told() -> None:
    hub: Any = get_hub()
    left, right = socket.socketpair()
    thread = eventlet.spawn(left.sendall, bytes(4 << 20))
    eventlet.sleep(0.01)
    assert [listener.fileno for listener in hub.get_writers()] == [left.fileno()]
    received = 0
    while received < 4 << 20:
        received += len(right.recv(1 << 20))
    thread.wait()
    left.close()
    right.close()


def test_timers_are_counted() -> None:
    hub = get_hub()
    before = hub.get_timers_count()
    timer = hub.schedule_call_global(10, lambda: None)
    assert hub.get_timers_count() == before + 1
    timer.cancel()


def test_callbacks_for_a_descriptor() -> None:
    hub: Any = get_hub()
    left, right = native.socketpair()
    left.setblocking(False)
    seen: list[bytes] = []
    me: Any = eventlet.getcurrent()

    def readable(fileno: int) -> None:
        seen.append(left.recv(100))
        me.switch()

    listener = hub.add(hub.READ, left.fileno(), readable, me.throw, None)
    try:
        for text in (b"one", b"two"):
            right.send(text)
            hub.switch()
    finally:
        hub.remove(listener)
    assert seen == [b"one", b"two"]
    right.send(b"three")
    eventlet.sleep(0.01)
    assert seen == [b"one", b"two"]
    left.close()
    right.close()


@pytest.mark.differs("in Eventlet whoever waits for it goes on waiting", hangs=True)
def test_closing_is_told() -> None:
    left, right = native.socketpair()
    marked: list[int] = []
    thread = eventlet.spawn(trampoline, left, read=True, mark_as_closed=lambda: marked.append(1))
    eventlet.sleep(0)
    fd = left.detach()
    right.close()
    thread.wait()
    other, right = native.socketpair()
    thread = eventlet.spawn(trampoline, other, read=True, mark_as_closed=lambda: marked.append(1))
    eventlet.sleep(0)
    waited_for = other.fileno()
    other.close()
    hubs.notify_close(waited_for)
    with pytest.raises(IOClosed):
        thread.wait()
    assert marked == [1]
    right.close()
    native.close(fd)


@pytest.mark.differs("there is one hub, and its name changes nothing")
def test_names_of_hubs() -> None:
    hub = get_hub()
    for name in (None, "epolls", "poll", "selects", "eventlet.hubs.epolls", "zeromq"):
        use_hub(name)
    assert get_hub() is hub
    assert hubs.get_default_hub() is hubs.Hub
    with pytest.raises(hubs.HubError, match="mine"):
        use_hub("mine")


def test_blocking_in_the_hub_itself_is_an_error() -> None:
    errors: list[BaseException] = []

    def callback() -> None:
        eventlet.sleep(0)
        try:
            eventlet.sleep(1)
        except RuntimeError as exc:
            errors.append(exc)

    get_hub().schedule_call_global(0, callback)
    eventlet.sleep(0.01)
    assert [str(error) for error in errors] == ["do not call blocking functions from the mainloop"]
