"""Upload: a request's body on its way to the backend, by a green thread of its own.

Place     balancer; proxy.py makes one when a body is not all in hand.
Promise   the answer is listened for meanwhile: a backend may answer before it has read everything.
          A backend that takes nothing for `idle_s` is given up. A body that breaks at the client
          breaks the backend's connection with it, so that it never takes a part for the whole.
Not here  the answer (answer.py).

`Expect: 100-continue` goes to the backend, and its "100 Continue" to the client (RFC 9110 section
10.1.1): whether a body is wanted is for the backend to say, and nothing is uploaded in vain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.balancer.forwarding import end_to_end_trailers
from verdant.core import spawn
from verdant.http import BadRequest, ConnectionLost, chunk, last_chunk

if TYPE_CHECKING:
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.fleet import Fleet
    from verdant.core import GreenThread
    from verdant.http import ClientConnection, HttpError, ResponseHead

__all__ = ["Upload"]


class Upload:
    """One body. The sweeper looks after its waits (`waiting_since`, `waiting_s_max`)."""

    __slots__ = (
        "_backend",
        "_exchange",
        "_sender",
        "answered",
        "fault",
        "timed_out",
        "waiting_s_max",
        "waiting_since",
    )

    def __init__(self, exchange: Exchange, fleet: Fleet, backend: ClientConnection) -> None:
        self._exchange = exchange
        self._backend = backend
        self._sender: GreenThread[None] | None = None
        # Whether the answer's head has come: then nothing more is awaited of the backend.
        self.answered = False
        # What the client did wrong.
        self.fault: HttpError | None = None
        self.timed_out = False
        self.waiting_since = 0.0
        self.waiting_s_max = fleet.idle_s

    def begin(self) -> bytes:
        """The field lines that the request's head needs for it. Does not park."""
        if not self._exchange.request.expect_continue:
            return b""
        self._exchange.connection.continue_elsewhere = True
        return b"\r\nExpect: 100-continue"

    def inform(self, response: ResponseHead) -> None:
        """Pass an informational answer on; after "100 Continue" it is the client's turn. Parks."""
        if response.status == 100:
            self._backend.waiting_since = 0.0
        self._exchange.inform(response)

    def start(self) -> None:
        """Send, from now on, in a green thread. Does not park."""
        self._exchange.house.deadlines.add(self)
        self._sender = spawn(self._send, name="request body")

    def wait_is_over(self) -> None:
        """Called by the sweeper: the backend takes nothing. Does not park."""
        self.timed_out = True
        self._backend.stream.abort()

    def stop(self) -> None:
        """End sending, whatever is left. Parks for a moment."""
        if self._sender is not None:
            self._sender.cancel()
            self._sender.join()
        self._exchange.house.deadlines.remove(self)

    def raise_fault(self) -> None:
        """Raise what the client did wrong, if it did."""
        if self.fault is not None:
            raise self.fault

    def end(self) -> bool:
        """After the answer: True when the whole body went out as well. Parks for a moment."""
        # A backend that answered without wanting the rest leaves it to the client's connection to
        # read away; its own cannot be used again.
        finished = self._sender is not None and self._sender.done
        self.stop()
        connection = self._exchange.connection
        if finished and connection.body_finished and self.fault is None and not self.timed_out:
            return True
        if not connection.body_finished:
            connection.closing = True
        return False

    def _send(self) -> None:
        exchange = self._exchange
        connection = exchange.connection
        backend = self._backend
        deadlines = exchange.house.deadlines
        send = backend.stream.sendall
        chunked = exchange.request.chunked
        try:
            while piece := connection.read_piece():
                if not self.answered:
                    backend.waiting_since = 0.0
                self.waiting_since = deadlines.now
                send(chunk(piece) if chunked else piece)
                self.waiting_since = 0.0
            if chunked:
                send(last_chunk(end_to_end_trailers(connection.trailers)))
        except (BadRequest, ConnectionLost) as exc:
            # The backend must not take what it got for a whole body.
            self.fault = exc
            backend.stream.abort()
            return
        except OSError:
            # The backend stopped listening. It may have answered; whoever reads finds out.
            return
        finally:
            self.waiting_since = 0.0
        if not self.answered:
            backend.waiting_since = deadlines.now
