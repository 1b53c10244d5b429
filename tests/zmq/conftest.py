"""What the tests of the room are given: a context, and joined sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from zmq_contexts import Keeping

from verdant.zmq import LAST_ENDPOINT, Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from verdant.zmq import Socket


@pytest.fixture
def context() -> Iterator[Context]:
    made = Keeping()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def joined(context: Context) -> Callable[[int, int], tuple[Socket, Socket]]:
    """Makes a bound socket and one that is connected to it over TCP."""

    def join(bound_type: int, connected_type: int) -> tuple[Socket, Socket]:
        bound = context.socket(bound_type)
        bound.bind("tcp://127.0.0.1:0")
        connected = context.socket(connected_type)
        connected.connect(bound.get(LAST_ENDPOINT).decode())
        return bound, connected

    return join
