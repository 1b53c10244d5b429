"""Tpool: calls that must block, in native threads, while green threads go on.

Place     eventlet, over core's workers.
Differs   an interrupted caller leaves at once, and the call's result is dropped. Threads start as
          calls find none idle. `killall` lets them end and does not wait for them; the process's
          end does not either, so no call can hold it up.
"""

from __future__ import annotations

import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

from verdant import core
from verdant.core.originals import thread_local

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["Proxy", "execute", "killall", "set_num_threads"]

# Eventlet's own.
THREADS_DEFAULT = 20


class _Worker(thread_local):
    inside = False


class _State:
    """What the module's functions share: there is one pool per process, as in Eventlet."""

    def __init__(self) -> None:
        self.quiet = True
        self.here = _Worker()
        self.resize(THREADS_DEFAULT)

    def resize(self, threads: int) -> None:
        if threads < 0:
            raise AssertionError("Can't specify negative number of threads")
        self.workers = core.Workers(threads) if threads else None


_state = _State()


def _inside(call: Callable[[], Any]) -> Any:
    _state.here.inside = True
    try:
        return call()
    finally:
        _state.here.inside = False


def execute(meth: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `meth(*args, **kwargs)` in a native thread and wait for its result. Parks.

    Raises what it raises. Called in such a thread, or with no threads, it calls directly.
    """
    if _state.here.inside or _state.workers is None:
        return meth(*args, **kwargs)
    try:
        return _state.workers.run(_inside, partial(meth, *args, **kwargs))
    except Exception:
        if not _state.quiet:
            traceback.print_exc()
        raise


def set_num_threads(nthreads: int) -> None:
    """How many native threads there may be from now on; 0 calls directly. Does not park."""
    killall()
    _state.resize(nthreads)


def killall() -> None:
    """Let the native threads end when their calls have; the next call starts others.

    Does not park.
    """
    if _state.workers is not None:
        _state.workers.close()


def set_quiet(quiet: bool) -> None:
    """Print, or not, what calls raise, besides raising it in the caller. Does not park."""
    _state.quiet = quiet


class Proxy:
    """Stands for `obj`: its methods run in native threads.

    `autowrap`: classes whose instances come back as proxies. `autowrap_names`: attributes, or
    methods, for whose values the same is true. A method called with `nonblocking=True` runs here.
    """

    def __init__(
        self, obj: Any, autowrap: Collection[type] = (), autowrap_names: Collection[str] = ()
    ) -> None:
        self._obj = obj
        self._autowrap = tuple(autowrap)
        self._autowrap_names = tuple(autowrap_names)

    def _call(self, name: str, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs.pop("nonblocking", False):
            return self._wrapped(name, f(*args, **kwargs))
        return self._wrapped(name, execute(f, *args, **kwargs))

    def _wrapped(self, name: str, value: Any) -> Any:
        if isinstance(value, self._autowrap) or name in self._autowrap_names:
            return Proxy(value, self._autowrap)
        return value

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._obj, name)
        return partial(self._call, name, value) if callable(value) else self._wrapped(name, value)

    # What Python looks up on the class.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("__call__", self._obj, *args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self._call("__getitem__", self._obj.__getitem__, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._call("__setitem__", self._obj.__setitem__, key, value)

    def __copy__(self) -> Any:
        return self._call("__copy__", self._obj.__copy__)

    def __deepcopy__(self, memo: Any = None) -> Any:
        return self._call("__deepcopy__", self._obj.__deepcopy__, memo)

    def __enter__(self) -> Any:
        return self._call("__enter__", self._obj.__enter__)

    def __exit__(self, *exc: object) -> Any:
        return self._call("__exit__", self._obj.__exit__, *exc)

    def __iter__(self) -> Any:
        iterator = iter(self._obj)
        return self if iterator is self._obj else Proxy(iterator)

    def __next__(self) -> Any:
        # StopIteration cannot come through a native thread as itself: a value can.
        item = execute(next, self._obj, _END)
        if item is _END:
            raise StopIteration
        return self._wrapped("__next__", item)

    next = __next__

    # These do not wait, and are called where nobody may.

    def __eq__(self, other: object) -> bool:
        return bool(self._obj == other)

    def __hash__(self) -> int:
        return hash(self._obj)

    def __repr__(self) -> str:
        return repr(self._obj)

    def __str__(self) -> str:
        return str(self._obj)

    def __len__(self) -> int:
        return len(self._obj)

    def __bool__(self) -> bool:
        return bool(self._obj)


_END = object()
