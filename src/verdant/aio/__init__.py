"""Asyncio in a green thread: its own loop on the hub, and calls across the border both ways."""

from verdant.aio.bridge import spawn, wait
from verdant.aio.errors import InsideLoop, OutsideLoop
from verdant.aio.running import run, stop

__all__ = ["InsideLoop", "OutsideLoop", "run", "spawn", "stop", "wait"]
