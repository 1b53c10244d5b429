"""Time: the stdlib's `time.sleep`, which parks the green thread.

Place     green; what `time.sleep` becomes under `monkey_patch()`.
Promise   other green threads run while one sleeps; a native thread without a hub sleeps natively.
Not here  clocks: the stdlib's do not block, so they stay as they are.
"""

from __future__ import annotations

import time as _stdlib

from verdant.core import sleep as _park_for
from verdant.green.waiting import may_park

__all__ = ["sleep"]

_sleep = _stdlib.sleep


def sleep(seconds: float, /) -> None:
    """As `time.sleep`; 0 lets everybody who is ready run once. Parks."""
    if may_park():
        _park_for(seconds)
    else:
        _sleep(seconds)
