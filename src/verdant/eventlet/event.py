"""Event: one value, or one exception, for everybody who waits.

Place     eventlet, over sync's flag.
Promise   who waits when it is sent gets what was sent, even when `reset()` follows at once.
Differs   waiters are woken in the order in which they came.
"""

from __future__ import annotations

from typing import Any

from verdant import sync
from verdant.eventlet.throwing import exception_of

__all__ = ["Event"]


class _Round:
    """From one `reset()` to the next: whoever waits keeps the round in which it began."""

    __slots__ = ("exc", "result", "sent", "waiting")

    def __init__(self) -> None:
        self.sent = sync.Event()
        self.result: Any = None
        self.exc: BaseException | None = None
        self.waiting = 0

    def outcome(self) -> Any:
        if self.exc is not None:
            raise self.exc
        return self.result


class Event:
    """Wait for a value that another green thread sends, once."""

    def __init__(self) -> None:
        self._round = _Round()

    def send(self, result: Any = None, exc: Any = None) -> None:
        """Wake everybody who waits with `result`, or with `exc` raised. Does not park.

        Raises AssertionError when it was sent already.
        """
        if self.ready():
            raise AssertionError("Trying to re-send() an already-triggered event.")
        this = self._round
        this.result = result
        if exc is not None:
            this.exc = exception_of(*exc) if isinstance(exc, tuple) else exception_of(exc)
        this.sent.set()

    def send_exception(self, *args: Any) -> None:
        """As `send`, with an exception; the arguments are those of `throw`. Does not park."""
        self.send(None, args)

    def wait(self, timeout: float | None = None) -> Any:
        """What was sent. Parks until then. Returns None after `timeout` seconds.

        Raises what was sent as an exception.
        """
        this = self._round
        this.waiting += 1
        try:
            return this.outcome() if this.sent.wait(timeout) else None
        finally:
            this.waiting -= 1

    def ready(self) -> bool:
        """True when `wait()` would return at once. Does not park."""
        return self._round.sent.is_set()

    def has_exception(self) -> bool:
        """True when an exception was sent. Does not park."""
        return self._round.exc is not None

    def has_result(self) -> bool:
        """True when a value was sent. Does not park."""
        return self.ready() and not self.has_exception()

    def poll(self, notready: Any = None) -> Any:
        """What was sent, or `notready`. Does not park. Raises what was sent as an exception."""
        return self._round.outcome() if self.ready() else notready

    def poll_exception(self, notready: Any = None) -> Any:
        """Raise the exception that was sent; `notready` when there is none. Does not park."""
        return self._round.outcome() if self.has_exception() else notready

    def poll_result(self, notready: Any = None) -> Any:
        """The value that was sent, or `notready`. Does not park."""
        return self._round.outcome() if self.has_result() else notready

    def reset(self) -> None:
        """Make it new, to be sent again. Raises AssertionError when it is. Does not park."""
        if not self.ready():
            raise AssertionError("Trying to re-reset() a fresh event.")
        self._round = _Round()

    def __str__(self) -> str:
        this = self._round
        result = repr(this.result) if self.ready() else "NOT_USED"
        return (
            f"<{type(self).__name__} at {id(self):#x} result={result} _exc={this.exc!r}"
            f" _waiters[{this.waiting}]>"
        )
