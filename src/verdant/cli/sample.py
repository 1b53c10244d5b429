"""Sample: the site that `verdant up` shows, asleep until somebody asks for it.

Place     cli. The site itself is a process; its waker lives in `verdant up`.
Promise   the site's host is held by `spin` while it sleeps; a wake notice starts it, and once it
          listens the rule is `proxy`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from verdant.balancer import NOTICE, BalancerClient
from verdant.cli.children import Child
from verdant.cli.serving import wait_for_signal
from verdant.core import GreenThread, spawn
from verdant.http import HttpServer, Request, Response, ServerConnection
from verdant.net import listen
from verdant.zmq import MAXMSGSIZE, SUB, SUBSCRIBE, Context
from verdant.zmq.security import REQUEST_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SAMPLE_HOST", "SampleWaker", "serve_sample"]

SAMPLE_HOST = "hello.localhost"


def serve_sample(port: int, ready: Callable[[], object]) -> None:
    """Run the sample site on loopback. Parks."""
    born = time.monotonic()

    def answer(request: Request, _: ServerConnection) -> Response:
        body = (
            f"Hello from a site that was asleep.\n"
            f"It woke {time.monotonic() - born:.1f} s ago as process {os.getpid()}, because "
            f"somebody asked for {request.host.decode()}.\n"
        )
        return Response(200, [(b"Content-Type", b"text/plain; charset=utf-8")], body.encode())

    server = HttpServer(listen(("127.0.0.1", port)), answer, name="sample site")
    server.start()
    try:
        wait_for_signal(ready)
    finally:
        server.stop(1.0)


class SampleWaker:
    """Listens for wake notices and starts the site."""

    def __init__(self, endpoint: str, management: str, port: int) -> None:
        self._client = BalancerClient(management)
        self._port = port
        self._child = Child("the sample site", ["sample-site", "--port", str(port)])
        self._context = Context()
        self._socket = self._context.socket(SUB)
        self._socket.setsockopt(SUBSCRIBE, NOTICE)
        self._socket.setsockopt(MAXMSGSIZE, REQUEST_BYTES_MAX)
        self._socket.connect(endpoint)
        self._thread: GreenThread[None] | None = None

    def put_to_sleep(self) -> None:
        """Have requests for the site held. Parks."""
        self._client.set_rule(SAMPLE_HOST, ["spin", {"timeout": 60}, False])

    def start(self) -> None:
        """Begin to listen for notices. Does not park."""
        self._thread = spawn(self._wake_when_asked, name="sample waker")

    def _wake_when_asked(self) -> None:
        while True:
            # Whatever else comes in is no notice of ours.
            if self._socket.recv_multipart() == [NOTICE, SAMPLE_HOST.encode()]:
                break
        self._child.start()
        rule: list[object] = ["proxy", {"backends": [["127.0.0.1", self._port]]}, False]
        self._client.set_rule(SAMPLE_HOST, rule)

    def stop(self) -> None:
        """Stop listening, and the site. Parks."""
        if self._thread is not None:
            self._thread.cancel()
            self._thread.join()
        self._child.stop(1.0)
        self._context.destroy(linger=0)
