"""What every test stands on: Ctrl-C works here, whoever started the tests."""

from __future__ import annotations

import signal

# A shell that starts a job in the background has it ignore SIGINT, and children inherit that; the
# tests of Ctrl-C then wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
