"""Task group: green threads that end before the block that started them does.

Place     core, on green threads; the structured form of `spawn`.
Promise   when the block is left, none of its threads runs any more, however it is left. The first
          one that fails cancels the others and the block; a block that is interrupted cancels all.
Not here  a bound on how many run (greenpool.py).

    with TaskGroup() as group:
        users = group.spawn(fetch, "/users")
        posts = group.spawn(fetch, "/posts")
    show(users.wait(), posts.wait())

What leaves the block:

    an interrupt from outside    itself: Cancelled, a Timeout around the block, Ctrl-C. Whoever set
                                 it looks for it, not for a group that contains it. Errors of
                                 threads can then be raised nowhere, so each is reported.
    errors, of threads or block  an ExceptionGroup of them all, in the order in which they came
    neither                      nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar, cast

from greenlet import GreenletExit

from verdant.core.greenthread import GreenThread, start
from verdant.core.hub import current_hub
from verdant.core.parking import current_thread, interrupt, withdraw
from verdant.core.timeout import is_interrupt
from verdant.core.waitqueue import WaitQueue
from verdant.errors import Busy, Cancelled, Closed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from verdant.core.parking import Parkable

__all__ = ["TaskGroup"]

T = TypeVar("T")


class _Child(GreenThread[T]):
    """A green thread whose failure its group hears of, and nobody else."""

    group: TaskGroup

    # In its own thread, when it failed.

    def tell_others(self, exc: BaseException) -> None:
        """Report a failure that the group cannot raise, as for any green thread."""
        super()._tell(exc)

    def _tell(self, exc: BaseException) -> None:
        if not isinstance(exc, Cancelled | GreenletExit):
            self.group._failed(cast("_Child[object]", self), exc)  # noqa: SLF001 - two halves of one thing


class TaskGroup:
    """A context manager whose green threads end before its block does. Entered once.

    `name`: shown in its errors and in reports of its threads.
    """

    def __init__(self, name: str = "task group") -> None:
        self.name = name
        self._parent: Parkable | None = None
        self._children: dict[GreenThread[object], None] = {}
        self._errors: list[tuple[_Child[object] | None, BaseException]] = []
        # Raised in the block when a thread failed while the block still runs.
        self._abort = Cancelled(f"a green thread of {name!r} failed")
        self._aborted = False
        self._in_block = False
        self._closed = False
        self._child_ended = WaitQueue()

    def __enter__(self) -> Self:
        if self._parent is not None:
            raise Busy(f"{self.name!r} was entered already: make a TaskGroup for each block")
        self._parent = current_thread()
        self._in_block = True
        return self

    def spawn(self, fn: Callable[..., T], *args: object, name: str | None = None) -> GreenThread[T]:
        """Run `fn(*args)` in a new green thread of the group. Does not park.

        Threads of the group may call it too. Raises `Closed` before the block, after it, and once
        a thread has failed or the block was interrupted.
        """
        if self._parent is None:
            raise Closed(f"{self.name!r} is not entered: write `with TaskGroup() as group:`")
        if self._closed or self._aborted:
            raise Closed(f"{self.name!r} has ended, or is about to: it takes no more green threads")
        child: _Child[T] = _Child(current_hub(), fn, args, name)
        child.group = self
        self._children[child] = None
        child.at_end(self._ended)
        start(child)
        return child

    def cancel(self) -> None:
        """Cancel every green thread of the group; the block goes on. Does not park."""
        for child in list(self._children):
            child.cancel()

    def __len__(self) -> int:
        """How many of its green threads have not ended."""
        return len(self._children)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._in_block = False
        me = current_thread()
        withdraw(me, self._abort)
        interrupts: list[BaseException] = []
        if exc is not None and exc is not self._abort:
            if is_interrupt(exc):
                interrupts.append(exc)
            elif all(exc is not known for _, known in self._errors):
                # Known: the block waited for a thread that failed, and so raised the same.
                self._errors.append((None, exc))
            self._stop()
        while self._children:
            try:
                # Woken by _ended(), when the last thread has.
                self._child_ended.wait()
            except BaseException as interrupted:  # noqa: BLE001 - raised below, when all have ended
                interrupts.append(interrupted)
                self._stop()
                if isinstance(interrupted, KeyboardInterrupt):
                    # A person who presses Ctrl-C once more means it.
                    self.cancel()
        self._closed = True
        try:
            return self._leave(me, exc, interrupts)
        finally:
            # An error's traceback holds this frame, which would hold the error.
            del exc, interrupts

    def _leave(
        self, me: Parkable, exc: BaseException | None, interrupts: list[BaseException]
    ) -> bool:
        errors, self._errors = self._errors, []
        if interrupts:
            for child, error in errors:
                if child is not None:
                    child.tell_others(error)
            # One leaves the block, the others wait for the next wait: none of them is lost.
            for later in interrupts[1:]:
                interrupt(me, later)
            if interrupts[0] is exc:
                return False
            raise interrupts[0]
        for _, error in errors:
            if not isinstance(error, Exception):
                # A thread wants the program to end.
                raise error
        if errors:
            raise ExceptionGroup(
                f"errors in {self.name!r}", [e for _, e in errors if isinstance(e, Exception)]
            ) from None
        return exc is self._abort

    def _stop(self) -> None:
        # Once: a thread that is about to clean up should not be interrupted in that, too.
        if not self._aborted:
            self._aborted = True
            self.cancel()

    def _failed(self, child: _Child[object], exc: BaseException) -> None:
        # In the thread that failed.
        self._errors.append((child, exc))
        if not self._aborted and self._in_block and self._parent is not None:
            interrupt(self._parent, self._abort)
        self._stop()

    def _ended(self, child: GreenThread[object]) -> None:
        # In the thread that ended.
        self._children.pop(child, None)
        if not self._children:
            self._child_ended.wake_all()
