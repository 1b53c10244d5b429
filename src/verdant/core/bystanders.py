"""Bystanders: what of Verdant's own runs beside the program and wakes nobody of itself.

Place     core; workers.py, stalls.py and inspection.py enter what is theirs, deadlock.py subtracts.
Promise   a native thread is counted here only while it could not wake a green thread.
Not here  what may wake one (deadlock.py decides).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bystanders"]


class _Bystanders:
    __slots__ = ("handlers", "jobs", "watchers", "workers")

    def __init__(self) -> None:
        # Written under the workers' lock: native threads made, and calls not yet delivered. While
        # there are none of the latter, all of the former only wait for a job.
        self.workers = 0
        self.jobs = 0
        # Native threads that watch and report.
        self.watchers = 0
        # Signal handlers that report.
        self.handlers: set[Callable[..., Any]] = set()


bystanders = _Bystanders()
