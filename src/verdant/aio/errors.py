"""Errors: a call that was made on the wrong side of the border."""

from __future__ import annotations

from verdant.errors import VerdantError

__all__ = ["InsideLoop", "OutsideLoop"]


class InsideLoop(VerdantError, RuntimeError):
    """Raised when code that runs inside an asyncio loop asks for a wait that stops this loop.

    The caller's fault; write `await`, or move the straight-line code to a green thread by
    `await aio.spawn(fn)`. A `RuntimeError` too, since asyncio raises that for the same mistake.
    """

    code = "aio-inside-loop"


class OutsideLoop(VerdantError, RuntimeError):
    """Raised when no loop that runs on this native thread's hub can do what was asked.

    The caller's fault; start the program by `aio.run(main())`, and wait for a future in the native
    thread whose loop it belongs to.
    """

    code = "aio-outside-loop"
