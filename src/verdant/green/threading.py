"""Threading: what the stdlib's `threading` needs beyond `_thread`: storage and stand-ins.

Place     green, on thread.py. The stdlib's Thread, Event, Condition, Timer and the rest become
          green by standing on these names, so none of them is written again here.
Promise   a `local` is one namespace per green thread, gone with it; so is its entry in
          `threading.enumerate()`.
Not here  locks and starting threads (thread.py).
"""

from __future__ import annotations

import threading as _stdlib
import weakref
from typing import Any

from greenlet import getcurrent, greenlet

from verdant.green.thread import Lock, RLock, get_ident, green_self

__all__ = [
    "DummyThread",
    "Lock",
    "RLock",
    "dummy_thread_class",
    "dummy_tracker",
    "get_ident",
    "local",
]


class _Storage:
    """The namespaces of one `local`, and what a new one is initialised with."""

    __slots__ = ("args", "by_thread", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs
        # By the address of the greenlet, whose end removes the entry before the address is reused.
        self.by_thread: dict[int, tuple[weakref.ref[greenlet], dict[str, Any]]] = {}

    def add(self, thread: greenlet) -> dict[str, Any]:
        names: dict[str, Any] = {}
        key = id(thread)
        by_thread = self.by_thread
        by_thread[key] = (weakref.ref(thread, lambda _: by_thread.pop(key, None)), names)
        return names


def _owner() -> greenlet:
    me: greenlet | None = green_self()
    if me is None:
        # A native thread's own storage belongs to its root; the hub shares it.
        me = getcurrent()
        while me.parent is not None:
            me = me.parent
    return me


class local:
    """As `threading.local`, with a namespace per green thread."""

    __slots__ = ("__weakref__", "_local__storage")

    _local__storage: _Storage

    def __new__(cls, /, *args: Any, **kwargs: Any) -> local:  # noqa: ANN401, PYI034 - the stdlib's
        """Take the arguments that `__init__` gets in every thread."""
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        self = object.__new__(cls)
        storage = _Storage(args, kwargs)
        object.__setattr__(self, "_local__storage", storage)
        # __init__ is called for this thread by whoever called us.
        storage.add(_owner())
        return self

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - the user's attributes
        names = _names(self)
        if name == "__dict__":
            return names
        if name in names and not _is_data_descriptor(type(self), name):
            return names[name]
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401 - the user's attributes
        if name == "__dict__":
            raise AttributeError(
                f"{type(self).__name__!r} object attribute '__dict__' is read-only"
            )
        if _is_data_descriptor(type(self), name):
            object.__setattr__(self, name, value)
        else:
            _names(self)[name] = value

    def __delattr__(self, name: str) -> None:
        if name == "__dict__":
            raise AttributeError(
                f"{type(self).__name__!r} object attribute '__dict__' is read-only"
            )
        if _is_data_descriptor(type(self), name):
            object.__delattr__(self, name)
            return
        try:
            del _names(self)[name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
            ) from None


def _names(of: local) -> dict[str, Any]:
    storage: _Storage = object.__getattribute__(of, "_local__storage")
    thread = _owner()
    entry = storage.by_thread.get(id(thread))
    if entry is not None:
        return entry[1]
    names = storage.add(thread)
    # As the stdlib does: on the first use in each further thread.
    type(of).__init__(of, *storage.args, **storage.kwargs)
    return names


def _is_data_descriptor(cls: type, name: str) -> bool:
    for base in cls.__mro__:
        if name in base.__dict__:
            kind = type(base.__dict__[name])
            return hasattr(kind, "__set__") or hasattr(kind, "__delete__")
    return False


def dummy_thread_class(threading: Any) -> type:  # noqa: ANN401 - the module, or a copy of it
    """The stand-in for green threads that the module `threading` did not start. Does not park."""
    base: Any = threading._DummyThread  # noqa: SLF001 - the stdlib asks for it by this name

    class DummyThread(base):  # type: ignore[misc] # of this very module
        """What `threading.current_thread()` returns in such a green thread.

        It bears the green thread's name and leaves `threading.enumerate()` with it.
        """

        def __init__(self) -> None:
            super().__init__()
            green = green_self()
            if green is not None:
                self._name = green.name
                # Kept here: a weak reference that dies first calls nobody.
                self._green = weakref.ref(green, self._forget)

        def _forget(self, _: object) -> None:
            active: dict[int | None, object] = threading._active  # noqa: SLF001
            # Without the lock: one call, and a finalizer must not wait.
            if active.get(self.ident) is self:
                active.pop(self.ident, None)

    return DummyThread


DummyThread = dummy_thread_class(_stdlib)

# A thread's repr begins with it, and the stdlib's says this.
DummyThread.__name__ = "_DummyThread"

# From 3.13 the stdlib keeps the last stand-in of each thread in such a `local`, to remove it when
# the thread ends. With a native one, every green thread would remove the one before.
dummy_tracker = local()
