"""Eventlet's `green.zmq`: pyzmq's names, green.

`verdant.zmq` first, pyzmq's own for what does not wait. Eventlet gives away pyzmq's `__all__`
alone, and its `poll`, `Poller` and `recv_into` block the hub; here every name is found, and all
that wait are green.
"""

from __future__ import annotations

from typing import Any

import zmq as _plain

from verdant import zmq as _green

__all__ = sorted({*_plain.__all__, *_green.__all__})


def __getattr__(name: str) -> Any:
    return getattr(_green if hasattr(_green, name) else _plain, name)
