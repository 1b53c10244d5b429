"""A service: zmq_verdant.py PORT"""

from __future__ import annotations

import sys

from verdant.zmq import ROUTER, zmq_loop


@zmq_loop(ROUTER, int(sys.argv[1]))
def handle(request: bytes) -> bytes:
    return request * 2


handle.run()
