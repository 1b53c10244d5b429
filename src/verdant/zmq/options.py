"""Options: read a whole number of a socket's state for the least that it can cost.

Place     zmq, below readiness.py. Touches zmq_getsockopt(3) alone.
Promise   the same answers as pyzmq's `get`, for options whose value is a C int.
Not here  every other option (pyzmq's own `get` and `set`).

EVENTS is read before every park and RCVMORE after every part, and of what pyzmq's `get` takes for
them more than half is spent on looking the option up. Called straight, by ctypes, a look at EVENTS
takes 0.75 µs in place of 1.3, most of it libzmq's own system call; RCVMORE 0.35 in place of 0.85.
Where pyzmq is built in another way, so that the function is not to be found, pyzmq's is used.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from zmq import ZMQError
from zmq.backend import Socket as RawSocket

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["getsockopt_address", "int_option"]


def _find_function() -> Any:  # noqa: ANN401 - ctypes has no type for it
    try:
        # The extension is linked to the one libzmq that its sockets live in, and a look-up goes
        # through what a library is linked to.
        library = ctypes.PyDLL(cast("str", import_module("zmq.backend.cython._zmq").__file__))
        return library.zmq_getsockopt
    except (ImportError, OSError, AttributeError):
        return None


_getsockopt = _find_function()


def getsockopt_address() -> int:
    """Where zmq_getsockopt(3) is in memory, for callers in C; 0 where it was not found."""
    if _getsockopt is None:
        return 0
    return ctypes.cast(_getsockopt, ctypes.c_void_p).value or 0


def int_option(address: int, option: int) -> Callable[[], int]:
    """A function that reads `option` of libzmq's socket at `address`: -1 if that fails.

    It must not be called once the socket is closed. Does not park.
    """
    if _getsockopt is None:
        return _by_pyzmq(address, option)
    value = ctypes.c_int()
    size = ctypes.c_size_t(ctypes.sizeof(value))
    handle, number = ctypes.c_void_p(address), ctypes.c_int(option)
    value_at, size_at = ctypes.byref(value), ctypes.byref(size)
    getsockopt = _getsockopt

    def read() -> int:
        return -1 if getsockopt(handle, number, value_at, size_at) else value.value

    return read


def _by_pyzmq(address: int, option: int) -> Callable[[], int]:
    raw = RawSocket(shadow=address)

    def read() -> int:
        try:
            return cast("int", raw.get(option))
        except ZMQError:
            return -1

    return read
