"""A plugin of pytest: pyzmq's names are Verdant's from here on, and threads are green.

Place     tests/pyzmq; the child that runs pyzmq's own tests loads it first (`-p verdant_side`).
"""

from __future__ import annotations

import sys

from verdant.patcher import monkey_patch

monkey_patch()
# As in plain_side.py.
sys.modules["gevent"] = None  # type: ignore[assignment] # what makes an import fail

import zmq  # noqa: E402 - the patch comes first
import zmq.asyncio  # noqa: E402 - its classes are made of the plain ones
from zmq.utils import garbage  # noqa: E402

# pyzmq's own collector looks `zmq.Context` up when it begins, and it is a native thread.
garbage.gc._context = zmq.Context()

from verdant import zmq as green  # noqa: E402

for name in (
    "Context",
    "Poller",
    "Socket",
    "device",
    "proxy",
    "proxy_steerable",
    "select",
    "zmq_poll",
):
    setattr(zmq, name, getattr(green, name))
