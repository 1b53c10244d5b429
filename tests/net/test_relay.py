"""The relay between two real connections."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from verdant import GreenThread, Timeout, spawn
from verdant.net import Stream, bound_address, connect, listen, relay

if TYPE_CHECKING:
    from collections.abc import Iterator

Ends = tuple[Stream, Stream, "GreenThread[tuple[int, int]]"]


@contextmanager
def relayed(silent_s_max: float = 300.0) -> Iterator[Ends]:
    """The far ends of two connections whose near ends are joined, and the relay between them."""
    listener = listen("127.0.0.1:0")
    streams = []
    for _ in range(2):
        streams.append(connect(bound_address(listener)))
        streams.append(Stream(*listener.accept()))
    relaying = spawn(relay, streams[1], streams[3], silent_s_max)
    try:
        with Timeout(30):
            yield streams[0], streams[2], relaying
    finally:
        relaying.cancel()
        relaying.join()
        for stream in streams:
            stream.close()
        listener.close()


def everything(stream: Stream) -> bytes:
    got = b""
    while data := stream.recv(65_536):
        got += data
    return got


def test_bytes_go_both_ways_and_an_end_is_passed_on_while_the_other_goes_on() -> None:
    with relayed() as (left, right, relaying):
        left.sendall(b"question")
        left.send_eof()
        assert everything(right) == b"question"
        right.sendall(b"and answer")
        right.send_eof()
        assert everything(left) == b"and answer"
        assert relaying.wait() == (8, 10)


def test_a_break_ends_both() -> None:
    with relayed() as (left, right, relaying):
        left.sendall(b"x")
        assert right.recv(10) == b"x"
        left.break_off()
        assert everything(right) == b""
        assert relaying.wait() == (1, 0)


def test_silence_after_one_end_does_not_last_for_ever() -> None:
    with relayed(0.05) as (left, right, relaying):
        left.send_eof()
        assert everything(right) == b""
        # The right end says nothing and stays.
        assert relaying.wait() == (0, 0)
        assert everything(left) == b""
