from __future__ import annotations

import os
import socket as native
from typing import Any

import pytest

from verdant import eventlet
from verdant.eventlet import greenio


def test_a_green_socket_of_a_native_one() -> None:
    left, right = native.socketpair()
    green = greenio.GreenSocket(left)
    thread = eventlet.spawn(green.recv, 10)
    eventlet.sleep(0)
    right.sendall(b"hello")
    assert thread.wait() == b"hello"
    greenio.shutdown_safe(green)
    greenio.shutdown_safe(green)
    green.close()
    right.close()


def test_a_green_socket_of_a_family() -> None:
    green: Any = greenio.GreenSocket(native.AF_INET, native.SOCK_STREAM)
    assert green.family == native.AF_INET
    with pytest.raises(OSError, match=r"."):
        green.connect(("127.0.0.1", 1))
    green.close()


def test_pipes() -> None:
    read_end, write_end = os.pipe()
    reader = greenio.GreenPipe(read_end, "rb", 0)
    writer = greenio.GreenPipe(write_end, "wb", 0)
    thread = eventlet.spawn(reader.read, 10)
    eventlet.sleep(0)
    writer.write(b"through")
    writer.flush()
    assert thread.wait() == b"through"
    writer.close()
    assert reader.read() == b""
    reader.close()
