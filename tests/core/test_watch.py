"""Watches: several waiters in line, interrupts, closing."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant import Timeout, sleep, spawn
from verdant.core import FdWatch, watch_fd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant import GreenThread


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    pair = os.pipe2(os.O_NONBLOCK)
    yield pair
    for fd in pair:
        os.close(fd)


def read_one(watch: FdWatch) -> bytes:
    """One byte, by the rule for readers."""
    again = False
    while True:
        if not watch.readable:
            watch.wait_readable(None, again)
            again = True
        try:
            return os.read(watch.fd, 1)
        except BlockingIOError:
            watch.readable = False


def test_readers_are_served_in_the_order_of_their_waits(pipe: tuple[int, int]) -> None:
    watch = watch_fd(pipe[0])
    got: list[tuple[int, bytes]] = []

    def reader(number: int) -> None:
        got.append((number, read_one(watch)))

    threads = [spawn(reader, number) for number in range(4)]
    sleep(0)
    for byte in (b"a", b"b", b"c", b"d"):
        os.write(pipe[1], byte)
        sleep(0)
        sleep(0)
    for thread in threads:
        thread.wait()
    assert got == [(0, b"a"), (1, b"b"), (2, b"c"), (3, b"d")]
    watch.close()


def test_who_waits_again_waits_behind_the_others(pipe: tuple[int, int]) -> None:
    watch = watch_fd(pipe[0])
    woken: list[int] = []

    def waiter(number: int) -> None:
        while True:
            watch.wait_readable()
            woken.append(number)

    threads = [spawn(waiter, number) for number in range(3)]
    sleep(0)
    for _ in range(2):
        os.write(pipe[1], b"x")
        sleep(0)
        sleep(0)
        assert sorted(woken[:3]) == [0, 1, 2], "each is woken once by one edge"
        del woken[:3]
    for thread in threads:
        thread.cancel()
        thread.join()
    watch.close()


@pytest.mark.parametrize("leaves", [0, 1, 2])
@pytest.mark.parametrize("how", ["cancel", "timeout", "bound"])
def test_whoever_leaves_the_line_the_others_are_still_woken(
    pipe: tuple[int, int], leaves: int, how: str
) -> None:
    watch = watch_fd(pipe[0])
    woken: list[int] = []

    def waiter(number: int) -> None:
        try:
            with Timeout(0.001 if (how, number) == ("timeout", leaves) else None, False) as scope:
                watch.wait_readable(0.001 if (how, number) == ("bound", leaves) else None)
            if not scope.expired:
                woken.append(number)
        except TimeoutError:
            return

    threads = [spawn(waiter, number) for number in range(3)]
    sleep(0)
    if how == "cancel":
        threads[leaves].cancel()
    assert threads[leaves].join(10)
    os.write(pipe[1], b"x")
    for thread in threads:
        assert thread.join(10)
    assert woken == [number for number in range(3) if number != leaves]
    watch.close()


def test_writers_stand_in_line_too(pipe: tuple[int, int]) -> None:
    watch = watch_fd(pipe[1])
    sleep(0.001)
    chunk = bytes(65536)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe[1], chunk)
    woken: list[int] = []

    def waiter(number: int) -> None:
        watch.wait_writable()
        woken.append(number)

    threads = [spawn(waiter, number) for number in range(4)]
    sleep(0)
    threads[0].cancel()
    threads[2].cancel()
    sleep(0)
    while os.read(pipe[0], 65536):
        sleep(0)
        if woken:
            break
    for thread in threads:
        assert thread.join(10)
    assert woken == [1, 3]
    watch.close()


def test_closing_wakes_every_waiter_of_both_directions_at_once(pipe: tuple[int, int]) -> None:
    watches = [watch_fd(fd) for fd in pipe]
    sleep(0.001)
    codes: list[int | None] = []

    def waiter(watch: FdWatch, direction: str, bound: float | None) -> None:
        with pytest.raises(OSError, match="Bad file") as caught:
            getattr(watch, direction)(bound)
        codes.append(caught.value.errno)

    threads = [
        spawn(waiter, watch, direction, bound)
        for watch in watches
        for direction in ("wait_readable", "wait_writable")
        for bound in (None, 60)
        if (watch, direction) != (watches[1], "wait_writable")
    ]
    sleep(0)
    for watch in watches:
        watch.close()
    sleep(0)
    assert all(thread.done for thread in threads)
    assert codes == [errno.EBADF] * 6
    for watch in watches:
        with pytest.raises(OSError, match="Bad file"):
            watch.wait_readable()
        with pytest.raises(OSError, match="Bad file"):
            watch.wait_writable()


LINE = st.lists(
    st.sampled_from(["read", "write", "write two", "steal", "cancel", "turn"]), max_size=40
)


@pytest.mark.parametrize("how", ["read", "calls of one's own"])
@given(LINE, st.data())
def test_nobody_overtakes_who_waits(how: str, steps: list[str], data: st.DataObject) -> None:
    pair = os.pipe2(os.O_NONBLOCK)
    watch = watch_fd(pair[0])
    sleep(0)
    served: list[int] = []
    line: dict[int, GreenThread[None]] = {}
    cancelled: set[int] = set()
    came = 0

    def reader(number: int) -> None:
        if how == "read":
            watch.read(1)
        else:
            read_one(watch)
        served.append(number)

    for step in steps:
        if step == "read":
            line[came] = spawn(reader, came)
            came += 1
            sleep(0)
        elif step.startswith("write"):
            os.write(pair[1], b"x" if step == "write" else b"xx")
        elif step == "steal":
            # Whoever is woken for it is woken in vain.
            with contextlib.suppress(BlockingIOError):
                os.read(pair[0], 1)
        elif step == "cancel" and line:
            number = data.draw(st.sampled_from(sorted(line)))
            if not line[number].done:
                cancelled.add(number)
            line.pop(number).cancel()
        else:
            sleep(0)
    while any(not thread.done for thread in line.values()):
        os.write(pair[1], b"x")
        sleep(0)
    watch.close()
    for fd in pair:
        os.close(fd)
    assert served == sorted(served)
    assert set(served) | cancelled == set(range(came))


def test_one_byte_wakes_one_of_three(pipe: tuple[int, int]) -> None:
    watch = watch_fd(pipe[0])
    looks: list[int] = []

    def reader(number: int) -> None:
        again = False
        while True:
            watch.wait_readable(None, again)
            again = True
            looks.append(number)
            with contextlib.suppress(BlockingIOError):
                os.read(watch.fd, 1)
                # The pipe is known to hold no more.
                watch.readable = False
                return
            watch.readable = False

    threads = [spawn(reader, number) for number in range(3)]
    sleep(0)
    os.write(pipe[1], b"x")
    os.read(pipe[0], 1)
    sleep(0)
    sleep(0)
    for _ in range(3):
        os.write(pipe[1], b"x")
        sleep(0)
        sleep(0)
    for thread in threads:
        assert thread.join(10)
    assert looks in ([0, 1, 2], [0, 0, 1, 2]), "who was woken in vain, if at all, stays the first"
    watch.close()


def test_who_looks_without_taking_keeps_nobody_from_it(pipe: tuple[int, int]) -> None:
    watch = watch_fd(pipe[0])
    looked: list[str] = []

    def looker() -> None:
        watch.wait_readable()
        looked.append("looker")

    threads = [spawn(looker), spawn(read_one, watch), spawn(looker), spawn(read_one, watch)]
    sleep(0)
    os.write(pipe[1], b"ab")
    for thread in threads:
        assert thread.join(10)
    assert looked == ["looker", "looker"]
    assert [threads[1].wait(), threads[3].wait()] == [b"a", b"b"]
    watch.close()


def test_messages_of_three_writers_come_whole_and_in_order(pipe: tuple[int, int]) -> None:
    watch = watch_fd(pipe[1])
    sleep(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe[1], bytes(4096))
    # Each longer than what a pipe holds, so each waits several times.
    size = 200_000
    threads = [spawn(watch.write_all, letter * size) for letter in (b"a", b"b", b"c")]
    sleep(0)
    got = b""
    while any(not thread.done for thread in threads) or not got.endswith(b"c" * 100):
        with contextlib.suppress(BlockingIOError):
            got += os.read(pipe[0], 5000)
        sleep(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            got += os.read(pipe[0], 65536)
    assert got.lstrip(b"\0") == b"".join(letter * size for letter in (b"a", b"b", b"c"))
    watch.close()


class Bomb:
    """Stands in a watch as a callback would that breaks its promise."""

    def switch(self) -> None:
        raise KeyError("broken")


def test_events_that_an_exception_in_the_hub_has_cost_are_made_up_for(
    pipe: tuple[int, int],
) -> None:
    other = os.pipe2(os.O_NONBLOCK)
    broken, watch = watch_fd(pipe[0]), watch_fd(other[0])
    got: list[tuple[int, bytes]] = []
    threads = [spawn(lambda n=n: got.append((n, read_one(watch)))) for n in range(3)]
    sleep(0)
    broken.reader = Bomb()  # type: ignore[assignment]
    # Reported in this order, in one poll, so the second is lost with the exception.
    os.write(pipe[1], b"x")
    os.write(other[1], b"abc")
    with pytest.raises(KeyError, match="broken"):
        sleep(30)
    for thread in threads:
        assert thread.join(10)
    assert got == [(0, b"a"), (1, b"b"), (2, b"c")]
    for each in (broken, watch):
        each.close()
    for fd in other:
        os.close(fd)


STEP = st.sampled_from(["wait", "wait briefly", "cancel", "write", "turn"])


@given(st.lists(STEP, max_size=40), st.data())
def test_every_byte_reaches_one_reader_whoever_leaves(
    steps: list[str], data: st.DataObject
) -> None:
    pair = os.pipe2(os.O_NONBLOCK)
    watch = watch_fd(pair[0])
    got: list[bytes] = []
    threads = []
    written = 0

    def reader(bound: float | None) -> None:
        with Timeout(bound, False):
            got.append(read_one(watch))

    for step in steps:
        if step.startswith("wait"):
            threads.append(spawn(reader, 0.0005 if step == "wait briefly" else None))
        elif step == "cancel" and threads:
            threads.pop(data.draw(st.integers(0, len(threads) - 1))).cancel()
        elif step == "write":
            os.write(pair[1], bytes([written]))
            written += 1
        else:
            sleep(0)
    # Whoever waits still, waits for nothing but a byte: give everybody one.
    while any(not thread.done for thread in threads):
        if len(got) == written:
            os.write(pair[1], bytes([written]))
            written += 1
        sleep(0)
    watch.close()
    left = b""
    with contextlib.suppress(BlockingIOError):
        left = os.read(pair[0], 100)
    assert b"".join(got) + left == bytes(range(written))
    for fd in pair:
        os.close(fd)
