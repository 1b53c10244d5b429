"""Sharing: one readiness per libzmq socket, however many objects of pyzmq's stand for it.

Place     zmq, between socket.py and readiness.py; forks are heard of here.
Promise   a shadow and its original wait by the same rule and in the same line. A forked child is
          told that the sockets it inherited are none of its own.
"""

from __future__ import annotations

import os
from weakref import WeakValueDictionary

from verdant.zmq.readiness import Readiness

__all__ = ["readiness_of"]

_shared: WeakValueDictionary[int, Readiness] = WeakValueDictionary()


def readiness_of(address: int) -> Readiness:
    """The readiness of libzmq's socket at `address`. Does not park."""
    found = _shared.get(address)
    if found is None or found.closed:
        # A closed one's address may have come round again.
        found = _shared[address] = Readiness(address)
    return found


def _disown_in_child() -> None:
    for readiness in list(_shared.values()):
        readiness.disown()
    _shared.clear()


# After core's own, which was registered first: the watches belong to the child's hub by then.
os.register_at_fork(after_in_child=_disown_in_child)
