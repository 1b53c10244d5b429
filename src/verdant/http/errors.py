"""Errors: what a peer that speaks HTTP wrongly, or stops speaking, did.

Place     http. Everybody above catches these; nobody here answers them but server.py.
Promise   a `BadRequest` carries the status that answers it and one sentence that is safe to show
          the client: it never quotes the client's own bytes.
Not here  errors of the program that uses the room: those are ValueErrors.
"""

from __future__ import annotations

from verdant.errors import VerdantError

__all__ = ["BadRequest", "BadResponse", "ConnectionLost", "HttpError"]


class HttpError(VerdantError):
    """Raised as one of its subclasses only: a peer broke HTTP/1.1. The peer's fault.

    The text says what it did.
    """

    code = "http-error"


class BadRequest(HttpError):
    """Raised for a request that is malformed, ambiguous or over a limit. The client's fault.

    Answer it with `status` (400, 408, 413, 414, 417, 431, 501 or 505) and close the connection:
    where the next request would begin is no longer certain.
    """

    code = "http-bad-request"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class BadResponse(HttpError):
    """Raised for an answer that is not HTTP/1.1, or is framed ambiguously. The backend's fault.

    Close the connection to it; a gateway answers its own client with 502.
    """

    code = "http-bad-response"


class ConnectionLost(HttpError):
    """Raised when a peer left in the middle of a message. The peer's fault, or the network's.

    A request on a reused connection may be tried once more on a fresh one, if it is safe to repeat.
    """

    code = "http-connection-lost"
