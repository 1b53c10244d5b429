"""Event: one value, or one exception, for everybody who waits.

Place     eventlet, over sync's future: one from each `reset()` to the next.
Promise   who waits when it is sent gets what was sent, even when `reset()` follows at once.
Differs   waiters are woken in the order in which they came.
"""

from __future__ import annotations

from typing import Any

from verdant.core import TimedOut
from verdant.eventlet.throwing import exception_of
from verdant.sync import Future

__all__ = ["Event"]


class Event:
    """Wait for a value that another green thread sends, once."""

    def __init__(self) -> None:
        self._sent: Future[Any] = Future()
        self._waiters = 0

    def send(self, result: Any = None, exc: Any = None) -> None:
        """Wake everybody who waits with `result`, or with `exc` raised. Does not park.

        Raises AssertionError when it was sent already.
        """
        if self.ready():
            raise AssertionError("Trying to re-send() an already-triggered event.")
        if exc is None:
            self._sent.set_result(result)
        else:
            throw_args = exc if isinstance(exc, tuple) else (exc,)
            self._sent.set_exception(exception_of(*throw_args))

    def send_exception(self, *args: Any) -> None:
        """As `send`, with an exception; the arguments are those of `throw`. Does not park."""
        self.send(None, args)

    def wait(self, timeout: float | None = None) -> Any:
        """What was sent. Parks until then. Returns None after `timeout` seconds.

        Raises what was sent as an exception.
        """
        sent = self._sent
        self._waiters += 1
        try:
            return sent.wait(timeout)
        except TimedOut as exc:
            # Our own bound; not one that was sent, nor a core Timeout around us.
            if timeout is None or sent.done or type(exc) is not TimedOut:
                raise
            return None
        finally:
            self._waiters -= 1

    def ready(self) -> bool:
        """True when `wait()` would return at once. Does not park."""
        return self._sent.done

    def has_exception(self) -> bool:
        """True when an exception was sent. Does not park."""
        return self._sent.exception is not None

    def has_result(self) -> bool:
        """True when a value was sent. Does not park."""
        return self.ready() and not self.has_exception()

    def poll(self, notready: Any = None) -> Any:
        """What was sent, or `notready`. Does not park. Raises what was sent as an exception."""
        return self.wait() if self.ready() else notready

    def poll_exception(self, notready: Any = None) -> Any:
        """Raise the exception that was sent; `notready` when there is none. Does not park."""
        return self.wait() if self.has_exception() else notready

    def poll_result(self, notready: Any = None) -> Any:
        """The value that was sent, or `notready`. Does not park."""
        return self.wait() if self.has_result() else notready

    def reset(self) -> None:
        """Make it new, to be sent again. Raises AssertionError when it is. Does not park."""
        if not self.ready():
            raise AssertionError("Trying to re-reset() a fresh event.")
        self._sent = Future()

    def __str__(self) -> str:
        sent = self._sent
        result = repr(self.poll_result()) if self.ready() else "NOT_USED"
        return (
            f"<{type(self).__name__} at {id(self):#x} result={result} _exc={sent.exception!r}"
            f" _waiters[{self._waiters}]>"
        )
