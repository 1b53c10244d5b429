"""Dagpool: green threads that wait for each other's results by key.

Place     eventlet, over its green threads. Eventlet's documented class; Verdant has no other.
Promise   each value is delivered as soon as it is there, in the order of arrival. A failure is
          delivered as `PropagateError`, and so goes on to whatever depends on it.

    spawn("b", ("a",), build) ──▶ build("b", results) ──▶ for key, value in results: waits for "a"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from greenlet import getcurrent

from verdant.core import WaitQueue
from verdant.eventlet import greenthread

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from verdant.eventlet.greenthread import GreenThread

__all__ = ["Collision", "DAGPool", "PropagateError"]

_MISSING: Any = object()


class Collision(Exception):
    """Raised when a key has a green thread, or a value, already. The caller's fault."""


class PropagateError(Exception):
    """Raised in place of a value that will not come: the thread of `key` ended with `exc`."""

    def __init__(self, key: Hashable, exc: BaseException) -> None:
        super().__init__(key, exc)
        self.key = key
        self.exc = exc
        self.msg = f"PropagateError({key}): {type(exc).__name__}: {exc}"

    def __str__(self) -> str:
        return self.msg


class _Running(NamedTuple):
    greenthread: GreenThread
    # Shrinks as the thread is given what it depends on.
    pending: set[Hashable]


class DAGPool:
    """Values by key, and the green threads that will give them.

    `preload`: values that are there already, as a dict or as pairs.
    """

    def __init__(self, preload: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = ()) -> None:
        self.values: dict[Hashable, Any] = dict(preload)
        self.coros: dict[Hashable, _Running] = {}
        self._news = WaitQueue()

    def spawn(
        self,
        key: Hashable,
        depends: Iterable[Hashable],
        function: Callable[..., Any],
        *args: Any,
        **kwds: Any,
    ) -> None:
        """Run `function(key, results, *args, **kwds)`; what it returns is the value of `key`.

        `results` gives (key, value) for each of `depends` as it comes; iterating parks. Raises
        `Collision` for a key that is taken. Does not park.
        """
        if key in self.coros or key in self.values:
            raise Collision(key)
        pending = set(depends)
        thread = greenthread.spawn(self._run, function, key, self._each(pending), *args, **kwds)
        self.coros[key] = _Running(thread, pending)

    def spawn_many(
        self,
        depends: Mapping[Any, Iterable[Hashable]],
        function: Callable[..., Any],
        *args: Any,
        **kwds: Any,
    ) -> None:
        """`spawn` the same function for each key of `depends`. Does not park."""
        for key, each in depends.items():
            self.spawn(key, each, function, *args, **kwds)

    def _run(
        self, function: Callable[..., Any], key: Hashable, results: Any, *args: Any, **kwds: Any
    ) -> Any:
        try:
            value = function(key, results, *args, **kwds)
        except Exception as exc:  # noqa: BLE001 - raised where the value is asked for
            value = PropagateError(key, exc)
        finally:
            # Gone already if it was killed by key.
            self.coros.pop(key, None)
        if key not in self.values:
            self.post(key, value)
        return value

    def post(self, key: Hashable, value: Any, replace: bool = False) -> None:
        """Give `key` its value. Does not park.

        Raises `Collision` for one that has a value (unless `replace`), or a green thread other
        than the caller.
        """
        running = self.coros.get(key)
        if running is not None and running.greenthread is not getcurrent():
            raise Collision(key)
        if key in self.values and not replace:
            raise Collision(key)
        self.values[key] = value
        self._news.wake_all()

    def kill(self, key: Hashable) -> None:
        """End the green thread of `key`, which can then be given a value. Parks for a turn.

        Raises KeyError when there is none.
        """
        self.coros.pop(key).greenthread.kill()

    # Waiting.

    def wait(self, keys: Iterable[Hashable] = _MISSING) -> dict[Any, Any]:
        """The values of `keys`, or of all that are known. Parks. Raises `PropagateError`."""
        return dict(self.wait_each(keys))

    def waitall(self) -> dict[Any, Any]:
        """The values of all keys that are known. Parks. Raises `PropagateError`."""
        return self.wait()

    def wait_each(self, keys: Iterable[Hashable] = _MISSING) -> Iterator[tuple[Any, Any]]:
        """Yield (key, value) as the values come. Parks. Raises `PropagateError` in its place."""
        return self._each(self._wanted(keys))

    def wait_each_success(self, keys: Iterable[Hashable] = _MISSING) -> Iterator[tuple[Any, Any]]:
        """As `wait_each`, leaving out what failed."""
        for key, value in self._each_raw(self._wanted(keys)):
            if not isinstance(value, PropagateError):
                yield key, value

    def wait_each_exception(
        self, keys: Iterable[Hashable] = _MISSING
    ) -> Iterator[tuple[Any, PropagateError]]:
        """As `wait_each`, giving only what failed, as a value."""
        for key, value in self._each_raw(self._wanted(keys)):
            if isinstance(value, PropagateError):
                yield key, value

    def _wanted(self, keys: Iterable[Hashable]) -> set[Hashable]:
        return {*self.coros, *self.values} if keys is _MISSING else set(keys)

    def _each(self, pending: set[Hashable]) -> Iterator[tuple[Any, Any]]:
        for key, value in self._each_raw(pending):
            yield key, _value(value)

    def _each_raw(self, pending: set[Hashable]) -> Iterator[tuple[Any, Any]]:
        while True:
            for key in [key for key in pending if key in self.values]:
                pending.discard(key)
                yield key, self.values[key]
            if not pending:
                return
            if not any(key in self.values for key in pending):
                # Woken by post(), whatever its key.
                self._news.wait()

    def __getitem__(self, key: Hashable) -> Any:
        """The value of `key`. Parks until it is there. Raises `PropagateError`."""
        return self.wait((key,))[key]

    # Asking.

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The value of `key`, or `default`. Raises `PropagateError`. Does not park."""
        return _value(self.values.get(key, default))

    def keys(self) -> tuple[Any, ...]:
        """The keys that have a value."""
        return tuple(self.values)

    def items(self) -> tuple[tuple[Any, Any], ...]:
        """The keys that have a value, and these. Raises `PropagateError` if one failed."""
        return tuple((key, _value(value)) for key, value in self.values.items())

    def running(self) -> int:
        """How many green threads there are."""
        return len(self.coros)

    def running_keys(self) -> tuple[Any, ...]:
        """The keys that have a green thread."""
        return tuple(self.coros)

    def waiting(self) -> int:
        """How many green threads wait for something."""
        return len(self.waiting_for())

    def waiting_for(self, key: Hashable = _MISSING) -> Any:
        """What the green thread of `key` still waits for, a set; or that of each one that does.

        Raises KeyError for a key of which nothing is known.
        """
        if key is _MISSING:
            each = {key: self._missing(running) for key, running in self.coros.items()}
            return {key: missing for key, missing in each.items() if missing}
        if key in self.coros:
            return self._missing(self.coros[key])
        if key not in self.values:
            raise KeyError(key)
        return set()

    def _missing(self, running: _Running) -> set[Hashable]:
        # It may not have run since the last came.
        return running.pending - self.values.keys()


def _value(value: Any) -> Any:
    if isinstance(value, PropagateError):
        raise value
    return value
