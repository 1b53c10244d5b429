"""Worker proxy: an object all of whose calls run in native worker threads.

Place     core, on workers.py; for libraries that block and cannot be patched: drivers written in C.
Promise   a call through the proxy parks its green thread and no other. Plain attributes are read at
          once.
Not here  making the object, which may block too: `WorkerProxy(run_in_worker(connect, …))`.

    connection = WorkerProxy(run_in_worker(sqlite3.connect, path), wrap=(sqlite3.Cursor,))
    for row in connection.execute("select * from users"):    # each step in a worker
        ...
"""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Any

from verdant.core.workers import Workers, run_in_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["WorkerProxy"]

_DONE = object()


class WorkerProxy:
    """Stands for `target`: what is called on it runs in a worker, and parks.

    `wrap`: classes; an instance of one that a call returns, or that an attribute holds, comes back
    as a proxy too. `wrap_names`: names of methods and attributes for which the same is true
    whatever their value is. `workers`: whose threads to use, when not the process's own.
    """

    __slots__ = ("_options", "_run", "_target")

    _options: tuple[tuple[type, ...], frozenset[str], Workers | None]
    _run: Callable[..., Any]
    _target: Any

    def __init__(
        self,
        target: object,
        wrap: Collection[type] = (),
        wrap_names: Collection[str] = (),
        workers: Workers | None = None,
    ) -> None:
        run = run_in_worker if workers is None else workers.run
        # Not by assignment, which goes to the target.
        object.__setattr__(self, "_target", target)
        object.__setattr__(self, "_run", run)
        object.__setattr__(self, "_options", (tuple(wrap), frozenset(wrap_names), workers))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the target's
        value = getattr(self._target, name)
        if callable(value) and not isinstance(value, type):
            return partial(self._called, name, value)
        return self._wrapped(name, value)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._target, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._target, name)

    def __dir__(self) -> list[str]:
        return dir(self._target)

    def __repr__(self) -> str:
        return f"<WorkerProxy of {self._target!r}>"

    def _called(self, name: str, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - the target's
        return self._wrapped(name, self._run(partial(fn, *args, **kwargs)))

    def _wrapped(self, name: str, value: Any) -> Any:  # noqa: ANN401 - the target's
        wrap, wrap_names, workers = self._options
        if value is self._target:
            # A method that returns its object, so that calls can be chained.
            return self
        if isinstance(value, wrap) or name in wrap_names:
            return WorkerProxy(value, wrap, wrap_names, workers)
        return value

    # What Python looks up on the class.

    def __call__(self, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - the target's
        return self._called("__call__", self._target, *args, **kwargs)

    def __enter__(self) -> Any:  # noqa: ANN401 - the target's
        return self._called("__enter__", self._target.__enter__)

    def __exit__(self, *exc: object) -> Any:  # noqa: ANN401 - the target's
        return self._called("__exit__", self._target.__exit__, *exc)

    def __iter__(self) -> Any:  # noqa: ANN401 - the target's
        items = self._run(iter, self._target)
        if items is self._target:
            return self
        return WorkerProxy(items, *self._options)

    def __next__(self) -> Any:  # noqa: ANN401 - the target's
        # StopIteration itself would end the worker's caller in odd ways; a value does not.
        item = self._run(next, self._target, _DONE)
        if item is _DONE:
            raise StopIteration
        return self._wrapped("__next__", item)

    def __len__(self) -> int:
        return int(self._run(len, self._target))

    def __bool__(self) -> bool:
        return bool(self._run(bool, self._target))

    def __contains__(self, item: object) -> bool:
        return bool(self._run(operator.contains, self._target, item))

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401 - the target's
        return self._called("__getitem__", operator.getitem, self._target, key)

    def __setitem__(self, key: object, value: object) -> None:
        self._run(operator.setitem, self._target, key, value)

    def __delitem__(self, key: object) -> None:
        self._run(operator.delitem, self._target, key)

    # Not in a worker: dicts and sets compare and hash where nobody may wait.

    def __eq__(self, other: object) -> bool:
        return bool(self._target == (other._target if isinstance(other, WorkerProxy) else other))

    def __hash__(self) -> int:
        return hash(self._target)
