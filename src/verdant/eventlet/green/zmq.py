"""pyzmq's names, green: `verdant.zmq` first, and pyzmq's own for what does not wait."""

from __future__ import annotations

from typing import Any

import zmq as _plain

from verdant import zmq as _green

__all__ = sorted({*_plain.__all__, *_green.__all__})


def __getattr__(name: str) -> Any:
    return getattr(_green if name in _green.__all__ else _plain, name)
