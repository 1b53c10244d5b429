"""What the tests of the room are given: a context, and joined sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from zmq_contexts import Keeping

from verdant import Timeout
from verdant.zmq import LAST_ENDPOINT, ROUTER, Context, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from verdant.zmq import Socket

# The longest that a test here may take; nobody measures it.
PATIENCE_S = 120


@pytest.fixture
def context() -> Iterator[Context]:
    made = Keeping()
    with Timeout(PATIENCE_S):
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


@pytest.fixture
def serve(context: Context) -> Iterator[Callable[..., Service]]:
    """Starts services that end with the test."""
    started: list[Service] = []

    def start(handle: Callable[..., Any], place: int | str = 0, **options: Any) -> Service:
        service = Service(handle, ROUTER, place, context=context, **options)
        service.start()
        started.append(service)
        return service

    yield start
    for service in started:
        service.stop()
