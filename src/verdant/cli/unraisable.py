"""Unraisable: errors that Python can only print, less those that strangers cause at will.

Place     cli; a process that speaks TLS to strangers calls it once.
Promise   a client cannot fill the log with tracebacks; every other error is printed as ever.

The one case: `ssl` decodes the name that a client asks for as ASCII (RFC 6066 section 3) before it
calls anybody, and prints a traceback for a name that is not. The handshake fails as it should.
"""

from __future__ import annotations

import sys

__all__ = ["keep_strangers_quiet"]


def keep_strangers_quiet() -> None:
    """Print nothing for a TLS name that is not ASCII, from now on. Does not park."""
    usual = sys.unraisablehook

    def tell(found: sys.UnraisableHookArgs) -> None:
        # The name itself is what ssl gives as the place of the error.
        if not (
            isinstance(found.exc_value, UnicodeDecodeError) and isinstance(found.object, bytes)
        ):
            usual(found)

    sys.unraisablehook = tell
