from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from verdant import listen
from verdant.address import TcpAddress
from verdant.balancer.listeners import Listeners
from verdant.net import AddressUnusable, bound_address, connect

if TYPE_CHECKING:
    from pathlib import Path

ANY = "127.0.0.1:0"


def test_each_worker_has_a_socket_of_its_own_for_each_address(tmp_path: Path) -> None:
    listeners, unix = Listeners(), f"unix:{tmp_path}/socket"
    listeners.open([ANY, unix], 3)
    try:
        shares = [listeners.share([ANY, unix], number, 3) for number in (1, 2, 3)]
        assert len({share[0].fileno() for share in shares}) == 3
        assert len({bound_address(share[0]) for share in shares}) == 1
        assert len({share[1].fileno() for share in shares}) == 1
        # A worker less: nobody's queue is left alone.
        fewer = listeners.share([ANY], 1, 2) + listeners.share([ANY], 2, 2)
        assert {sock.fileno() for sock in fewer} == {share[0].fileno() for share in shares}
        listeners.open([ANY], 4)
        assert len(listeners.share([ANY], 4, 4)) == 1
    finally:
        listeners.close_others(())


def test_an_address_that_somebody_listens_on_is_refused() -> None:
    with listen(ANY) as taken:
        port = taken.getsockname()[1]
        listeners = Listeners()
        with pytest.raises(AddressUnusable, match="another process does already"):
            listeners.open([ANY, f"127.0.0.1:{port}"], 2)
        assert listeners.bound([]) == []
    listeners.open([f"127.0.0.1:{port}"], 2)
    try:
        # Also by ourselves, as another balancer of the same user would be.
        with pytest.raises(AddressUnusable):
            Listeners().open([f"127.0.0.1:{port}"], 2)
    finally:
        listeners.close_others(())


def test_sockets_that_were_given_are_shared_by_all() -> None:
    with listen(ANY) as given:
        where = bound_address(given)
        assert isinstance(where, TcpAddress)
        listeners = Listeners([given])
        listeners.open([str(where)], 2)
        assert listeners.share([str(where)], 1, 2) == listeners.share([str(where)], 2, 2) == [given]


def test_a_queue_outlives_the_copy_that_a_worker_closes() -> None:
    listeners = Listeners()
    listeners.open([ANY], 1)
    try:
        (address,) = listeners.bound([ANY])
        (kept,) = listeners.share([ANY], 1, 1)
        copy = kept.dup()
        client = connect(address)
        copy.close()
        accepted, _ = kept.accept()
        accepted.close()
        client.close()
    finally:
        listeners.close_others(())
