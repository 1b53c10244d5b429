"""Listening and connecting: every kind of address, and errors that say what to do."""

from __future__ import annotations

import socket as native
from typing import TYPE_CHECKING, Any

import pytest

from verdant import Timeout, spawn
from verdant.address import UnixAddress
from verdant.net import AddressUnusable, Stream, bound_address, connect, listen

if TYPE_CHECKING:
    from pathlib import Path


def greet(listener: Any) -> None:
    connection, peer = listener.accept()
    stream = Stream(connection, peer)
    stream.sendall(stream.peer_host.encode())
    stream.close()


def greeting(listener: Any, address: Any) -> bytes:
    with Timeout(30):
        server = spawn(greet, listener)
        stream = connect(address)
        got = b""
        while piece := stream.recv(100):
            got += piece
        stream.close()
        server.wait()
    listener.close()
    return got


def test_tcp_by_text_and_by_pair() -> None:
    listener = listen(("127.0.0.1", 0))
    assert greeting(listener, str(bound_address(listener))) == b"127.0.0.1"


@pytest.mark.skipif(not native.has_ipv6, reason="needs IPv6")
def test_a_star_is_every_address_of_both_families() -> None:
    listener = listen("*:0")
    found: Any = bound_address(listener)
    assert greeting(listener, ("127.0.0.1", found.port)) == b"::ffff:127.0.0.1"


def test_unix_sockets_and_what_a_killed_server_leaves(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "s"))
    first = listen(address)
    with pytest.raises(AddressUnusable, match="another process"):
        listen(address)
    first.close()
    second = listen(f"unix:{address.path}")
    assert bound_address(second) == address
    assert greeting(second, address) == b"unix"


def test_a_port_in_use_says_so() -> None:
    listener = listen("127.0.0.1:0")
    with pytest.raises(AddressUnusable, match="choose another port"):
        listen(str(bound_address(listener)))
    listener.close()


def test_ports_can_be_shared_on_purpose() -> None:
    first = listen("127.0.0.1:0", reuse_port=True)
    second = listen(str(bound_address(first)), reuse_port=True)
    assert bound_address(first) == bound_address(second)
    first.close()
    second.close()


def test_nobody_there_is_the_stdlibs_error() -> None:
    listener = listen("127.0.0.1:0")
    address = str(bound_address(listener))
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        connect(address)
