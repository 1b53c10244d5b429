"""Wake notices: to subscribers with an allowed key, to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flows.stack import free_port

from verdant import Timeout
from verdant.balancer import NOTICE, WakeConfig
from verdant.balancer.holding import Holding
from verdant.balancer.wake import Waker
from verdant.net import AddressUnusable
from verdant.zmq import RCVTIMEO, SUB, SUBSCRIBE, Again, Context, Socket
from verdant.zmq.security import (
    BadKeyFile,
    KeyPair,
    new_keys,
    read_keys,
    read_public,
    secure_client,
    write_keys,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_notices_go_to_allowed_keys_alone(tmp_path: Path) -> None:
    write_keys("balancer", tmp_path)
    _, friend = write_keys("starter", tmp_path / "allowed")
    config = WakeConfig(
        publish=f"tcp://127.0.0.1:{free_port()}",
        repeat_s=0.05,
        keys=str(tmp_path / "balancer.key_secret"),
        allow=str(tmp_path / "allowed"),
    )
    waker = Waker(config)
    holding = waker.holding = Holding(10, 10, waker.first_held)
    context = Context()

    def subscriber(keys: KeyPair | None) -> Socket:
        socket = context.socket(SUB)
        socket.setsockopt(SUBSCRIBE, NOTICE)
        if keys is not None:
            secure_client(socket, read_public(tmp_path / "balancer.key"), keys)
        assert config.publish is not None
        socket.connect(config.publish)
        return socket

    try:
        strangers = [subscriber(None), subscriber(new_keys())]
        welcome = subscriber(read_keys(friend))
        group = holding.enter(b"asleep.test")
        assert group is not None
        with Timeout(60):
            # Repeated for as long as somebody waits: the second one is proof that the strangers
            # could have had the first.
            for _ in range(2):
                assert welcome.recv_multipart() == [NOTICE, b"asleep.test"]
        holding.released(group)
        for stranger in strangers:
            stranger.setsockopt(RCVTIMEO, 0)
            with pytest.raises(Again):
                stranger.recv()
    finally:
        context.destroy(linger=0)
        waker.close()


def test_what_cannot_be_published_is_a_sentence(tmp_path: Path) -> None:
    first = Waker(WakeConfig(publish=f"tcp://127.0.0.1:{free_port()}"))
    try:
        with pytest.raises(AddressUnusable, match="cannot publish wake notices"):
            Waker(first._config)
    finally:
        first.close()
    missing = WakeConfig(
        publish=f"ipc://{tmp_path}/wake", keys=str(tmp_path / "none.key_secret"), allow="*"
    )
    with pytest.raises(BadKeyFile, match="cannot be read"):
        Waker(missing)
