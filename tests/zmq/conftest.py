"""Sockets that live as long as their context, so that a test need not close them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from verdant.zmq import LAST_ENDPOINT, Context, Socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Keeping(Context):
    """Keeps its sockets until it is destroyed."""

    kept: list[Socket]

    def socket(self, *args: Any, **kwargs: Any) -> Any:
        made = super().socket(*args, **kwargs)
        self.kept.append(made)
        return made


@pytest.fixture
def context() -> Iterator[Context]:
    made = Keeping()
    made.kept = []
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
