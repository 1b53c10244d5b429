"""Errors of services and their clients.

Place     zmq; services raise some of them at home, clients raise them for what came back.
Promise   a caller can tell by the class whether the service said no, failed, or was not heard of;
          the text is the remote one, or names each server that was asked and what it did.
Not here  errors of sockets: those are pyzmq's (`ZMQError`), and those of errors.py.
"""

from __future__ import annotations

from verdant.errors import VerdantError

__all__ = ["BadHandler", "CallFailed", "CallRefused", "NoAnswer", "ServiceError"]


class ServiceError(VerdantError):
    """The root of what a call can end with in place of an answer."""

    code = "zmq-service-error"


class CallRefused(ServiceError):
    """Raised by a handler that says no, and in the client that was told so.

    Also for a request that is not what the handler takes. The caller's fault: the text says what is
    wrong. The service does not report it, since nothing is wrong with the service.
    """

    code = "zmq-call-refused"


class CallFailed(ServiceError):
    """Raised in the client when the handler raised something else. The service's fault.

    The text is the remote exception's; its traceback is in the service's log, `verdant.zmq`.
    """

    code = "zmq-call-failed"


class NoAnswer(ServiceError, TimeoutError):
    """Raised when no server answered. A machine's fault; the text says what became of each attempt.

    `maybe_run`: True when a server may have run the call all the same, so that repeating it could
    do its work twice.
    """

    code = "zmq-no-answer"

    def __init__(self, text: str, *, maybe_run: bool) -> None:
        super().__init__(text)
        self.maybe_run = maybe_run


class BadHandler(VerdantError, TypeError):
    """Raised when a function cannot serve calls. The programmer's fault; the text says why."""

    code = "zmq-bad-handler"
