"""Opening inputs: all or none, and sentences for what cannot be opened."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from verdant.errors import VerdantError
from verdant.logs import InputConfig, InputUnusable, LogServerConfig
from verdant.logs.inputs import Inputs
from verdant.net import AddressUnusable

if TYPE_CHECKING:
    from pathlib import Path

    from verdant.logs.codec import Batch, Status


def never(_: Batch) -> tuple[Status, str]:
    raise AssertionError("nothing was sent")


def config(*inputs: InputConfig) -> LogServerConfig:
    return LogServerConfig(
        name="one",
        collect="ipc://c",
        pull="ipc://p",
        query="ipc://q",
        data_dir="d",
        input=list(inputs),
    )


def test_inputs_of_every_kind_open_and_close(tmp_path: Path) -> None:
    kinds = [
        InputConfig(kind=kind, bind="127.0.0.1:0")
        for kind in ("syslog", "syslog-udp", "relp", "http", "gelf", "gelf-udp")
    ]
    kinds.append(InputConfig(kind="syslog", bind=f"unix:{tmp_path}/log.sock"))
    inputs = Inputs(config(*kinds), never)
    inputs.start()
    assert len({str(address) for address in inputs.addresses}) == 7
    inputs.stop()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_when_one_cannot_open_none_stays_open(kind: socket.SocketKind, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        name = "syslog" if kind == socket.SOCK_STREAM else "syslog-udp"
        wanted = config(
            InputConfig(kind="syslog", bind=f"unix:{tmp_path}/log.sock"),
            InputConfig(kind=name, bind=f"127.0.0.1:{taken.getsockname()[1]}"),  # type: ignore[arg-type]
        )
        with pytest.raises((AddressUnusable, InputUnusable), match="another port"):
            Inputs(wanted, never)
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(f"{tmp_path}/log.sock")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"certificate": "/nowhere/c.pem"}, "/nowhere/c.pem"),
        ({"tokens_file": "/nowhere/tokens"}, "/nowhere/tokens"),
    ],
)
def test_a_file_that_is_not_there_is_named(settings: dict[str, str], named: str) -> None:
    wanted = InputConfig(kind="http", bind="127.0.0.1:0", **settings)  # type: ignore[arg-type]
    with pytest.raises(VerdantError, match=named):
        Inputs(config(wanted), never)
