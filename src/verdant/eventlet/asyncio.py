"""Asyncio: coroutines waited for as green threads.

Place     eventlet, over aio. `GreenThread` can be awaited the other way round.
Differs   no hub has to be chosen for it: the loop runs in a green thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verdant import aio
from verdant.eventlet import greenthread

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from verdant.eventlet.greenthread import GreenThread

__all__ = ["spawn_for_awaitable"]


def spawn_for_awaitable(coroutine: Awaitable[Any]) -> GreenThread:
    """A green thread that waits for a coroutine, task or future; killed, it cancels it.

    Its result is that of the coroutine. Does not park.
    """
    return greenthread.spawn(aio.wait, coroutine)
