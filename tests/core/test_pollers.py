"""Pollers: one contract, kept by each of them, and by the runtime that stands on them."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verdant.core import poller as choice
from verdant.core.pollbits import GONE, READABLE, WRITABLE
from verdant.core.poller import Poller, make_poller
from verdant.core.poller_epoll import EpollPoller
from verdant.core.poller_kqueue import KqueuePoller
from verdant.core.poller_poll import PollPoller
from verdant.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

TESTS = Path(__file__).parents[1]


class Watch:
    """What a poller asks of a watch."""

    def __init__(self) -> None:
        self.readable = False
        self.reader: object | None = None
        self.writer: object | None = None
        self.more_readers: list[object] | None = None
        self.more_writers: list[object] | None = None


class Subject:
    """A poller, and watches that behave as the hub's do."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.watches: dict[int, Watch] = {}
        poller.attach(self.watches)

    def watch(self, fd: int) -> Watch:
        self.watches[fd] = Watch()
        self.poller.register(fd)
        return self.watches[fd]

    def forget(self, fd: int) -> None:
        self.poller.unregister(fd)
        del self.watches[fd]

    def poll(self, timeout_s: float = 0) -> dict[int, int]:
        """Poll, and note what the hub would note."""
        found: dict[int, int] = {}
        for fd, bits in self.poller.poll(timeout_s):
            found[fd] = found.get(fd, 0) | bits
        for fd, bits in found.items():
            if bits & READABLE:
                self.watches[fd].readable = True
        return found

    def reads(self, fd: int) -> bool:
        return bool(self.poll().get(fd, 0) & READABLE)


@pytest.fixture
def fake_kqueue(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    before = set(vars(select))
    from core import fake_kqueue as fake

    fake.install()
    for name in set(vars(select)) - before:
        monkeypatch.setattr(select, name, getattr(select, name), raising=False)
    monkeypatch.setattr("verdant.core.poller_kqueue.kqueue", fake.kqueue)
    return fake


@pytest.fixture(params=["epoll", "poll", "kqueue, faked"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    kinds: dict[str, Callable[[], Poller]] = {
        "epoll": EpollPoller,
        "poll": PollPoller,
        "kqueue, faked": KqueuePoller,
    }
    if request.param == "epoll" and not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")
    if request.param == "kqueue, faked":
        if not hasattr(select, "epoll"):
            pytest.skip("the stand-in is made of epoll")
        request.getfixturevalue("fake_kqueue")
    poller = kinds[request.param]()
    yield Subject(poller)
    poller.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    yield pair
    for end in pair:
        end.close()


Ends = tuple[socket.socket, socket.socket]


def test_the_present_state_is_the_first_edge(subject: Subject, ends: Ends) -> None:
    ours, theirs = ends
    theirs.send(b"x")
    subject.watch(ours.fileno())
    assert subject.reads(ours.fileno())


def test_an_edge_is_told_once_and_the_next_one_after_a_drain(subject: Subject, ends: Ends) -> None:
    ours, theirs = ends
    watch = subject.watch(ours.fileno())
    subject.poll()
    assert not subject.reads(ours.fileno())
    for _ in range(3):
        theirs.send(b"x")
        assert subject.reads(ours.fileno())
        assert not subject.reads(ours.fileno()), "told twice"
        ours.recv(10)
        watch.readable = False
        assert not subject.reads(ours.fileno())


def test_data_that_comes_before_anybody_waits_is_not_missed(subject: Subject, ends: Ends) -> None:
    ours, theirs = ends
    watch = subject.watch(ours.fileno())
    subject.poll()
    theirs.send(b"x")
    subject.poll()
    assert watch.readable
    ours.recv(10)
    watch.readable = False
    theirs.send(b"y")
    # Now somebody waits, after the data came.
    watch.reader = object()
    assert subject.reads(ours.fileno())


def test_a_short_read_that_was_none_is_told_again(subject: Subject, ends: Ends) -> None:
    ours, theirs = ends
    watch = subject.watch(ours.fileno())
    theirs.send(b"x")
    subject.poll()
    ours.recv(10)
    # It arrives between the read and the flag.
    theirs.send(b"y")
    watch.readable = False
    assert subject.reads(ours.fileno())


def test_room_to_write_is_told_to_who_waits_for_it(subject: Subject, ends: Ends) -> None:
    ours, theirs = ends
    fd = ours.fileno()
    watch = subject.watch(fd)
    subject.poll()
    with contextlib.suppress(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    watch.writer = object()
    assert not subject.poll().get(fd, 0) & WRITABLE
    with contextlib.suppress(BlockingIOError):
        while True:
            theirs.recv(1 << 20)
    assert subject.poll().get(fd, 0) & WRITABLE
    watch.writer, watch.more_writers = None, [object()]
    with contextlib.suppress(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    with contextlib.suppress(BlockingIOError):
        while True:
            theirs.recv(1 << 20)
    assert subject.poll().get(fd, 0) & WRITABLE


@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_an_end_is_told_with_the_data_before_it(subject: Subject, ends: Ends, how: str) -> None:
    ours, theirs = ends
    subject.watch(ours.fileno())
    subject.poll()
    theirs.send(b"last words")
    theirs.close() if how == "close" else theirs.shutdown(socket.SHUT_WR)
    bits = subject.poll()[ours.fileno()]
    assert bits & READABLE
    assert bits & GONE
    # And not over and over, for those who watch it for nothing.
    assert not subject.poll()


def test_a_writer_hears_of_a_reader_that_is_gone(subject: Subject) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    watch = subject.watch(writing)
    subject.poll()
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(65536))
    watch.writer = object()
    os.close(reading)
    assert subject.poll()[writing] & WRITABLE
    os.close(writing)


def test_who_is_forgotten_is_not_told_of(subject: Subject, ends: Ends) -> None:
    ours, theirs = ends
    subject.watch(ours.fileno())
    theirs.send(b"x")
    subject.forget(ours.fileno())
    assert not subject.poll()
    subject.poller.unregister(ours.fileno())
    subject.poller.unregister(987_654)
    subject.watch(ours.fileno())
    assert subject.reads(ours.fileno())


def test_a_descriptor_closed_behind_its_back_is_no_trouble(subject: Subject) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    subject.watch(reading)
    subject.poll()
    os.close(reading)
    subject.poll()
    assert not subject.poll()
    subject.forget(reading)
    os.close(writing)


def test_a_number_that_comes_round_again_is_watched_anew(subject: Subject) -> None:
    for _ in range(3):
        reading, writing = os.pipe2(os.O_NONBLOCK)
        subject.watch(reading)
        assert not subject.reads(reading)
        os.write(writing, b"x")
        assert subject.reads(reading)
        subject.forget(reading)
        os.close(reading)
        os.close(writing)


def test_files_and_bad_descriptors_are_refused(subject: Subject) -> None:
    with open(__file__, "rb") as file:
        with pytest.raises(PermissionError) as caught:
            subject.poller.register(file.fileno())
        assert caught.value.errno == errno.EPERM
        number = file.fileno()
    with pytest.raises(OSError, match="Bad file") as bad:
        subject.poller.register(number)
    assert bad.value.errno == errno.EBADF


def test_a_poll_ends_with_its_time_or_a_signal_s_byte(subject: Subject) -> None:
    assert subject.poll(0.001) == {}
    assert subject.poller.poll(0) == []
    reading, writing = os.pipe2(os.O_NONBLOCK)
    # As the hub's own wake-up pipe: registered, and no watch.
    subject.poller.register(reading)
    before = signal.set_wakeup_fd(writing)
    handler = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert [fd for fd, _ in subject.poller.poll(30)] == [reading]
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.set_wakeup_fd(before)
    subject.poller.unregister(reading)
    os.close(reading)
    os.close(writing)


def test_many_descriptors_at_once(subject: Subject) -> None:
    pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(100)]
    for reading, _ in pipes:
        subject.watch(reading)
    assert subject.poll() == {}
    for _, writing in pipes[::2]:
        os.write(writing, b"x")
    assert sorted(subject.poll()) == sorted(reading for reading, _ in pipes[::2])
    assert subject.poll() == {}
    for pair in pipes:
        for fd in pair:
            os.close(fd)


def test_who_waits_although_it_was_told_is_told_again_by_poll(ends: Ends) -> None:
    # ZeroMQ's descriptor is waited for like this.
    subject = Subject(PollPoller())
    ours, theirs = ends
    watch = subject.watch(ours.fileno())
    theirs.send(b"x")
    assert subject.reads(ours.fileno())
    watch.reader = object()
    assert subject.reads(ours.fileno())
    watch.reader, watch.more_readers = None, [object()]
    assert subject.reads(ours.fileno())
    watch.more_readers.clear()
    assert not subject.reads(ours.fileno())


def test_an_error_of_a_kqueue_s_descriptor_is_told_as_one(fake_kqueue: ModuleType) -> None:
    poller = KqueuePoller()
    for flags, fflags, expected in (
        (fake_kqueue.KQ_EV_ERROR, 0, True),
        (fake_kqueue.KQ_EV_EOF, errno.ECONNRESET, True),
        (0, 0, False),
    ):
        for which in (fake_kqueue.KQ_FILTER_READ, fake_kqueue.KQ_FILTER_WRITE):
            bits = poller._bits(fake_kqueue.kevent(5, which, flags, fflags))
            assert bool(bits & select.POLLERR) is expected
    poller.close()


def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERDANT_POLLER", raising=False)
    assert isinstance(make_poller("poll"), PollPoller)
    monkeypatch.setenv("VERDANT_POLLER", "poll")
    assert isinstance(make_poller(), PollPoller)
    monkeypatch.setenv("VERDANT_POLLER", "iocp")
    with pytest.raises(ConfigurationError, match=r"'iocp'.*poll"):
        make_poller()
    monkeypatch.delenv("VERDANT_POLLER")
    for name, kind in (("epoll", EpollPoller), ("kqueue", KqueuePoller), ("poll", PollPoller)):
        if getattr(choice, name) is not None:
            assert type(make_poller()) is kind
            break


ROOMS = [
    "core/test_runtime.py",
    "core/test_watch.py",
    "green/test_socket.py",
    "zmq/test_readiness.py",
    "zmq/test_socket.py",
]


@pytest.mark.parametrize(
    ("plugin", "environment"),
    [([], {"VERDANT_POLLER": "poll"}), (["-p", "core.fake_kqueue"], {})],
    ids=["poll", "kqueue, faked"],
)
def test_the_runtime_passes_on(plugin: list[str], environment: dict[str, str]) -> None:
    python_path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin),
            *(str(TESTS / room) for room in ROOMS),
        ],
        env={**os.environ, **environment, "PYTHONPATH": python_path},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout
