"""Context: pyzmq's, whose sockets are green and whose end blocks nobody.

Place     zmq.
Promise   `term` and `destroy` park their green thread only, and wake whoever waits on a socket.
          Messages that cannot be delivered keep a program from ending for `LINGER_MS_DEFAULT` at
          most, not for ever. A context that is forgotten goes without anybody waiting for it.
"""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import zmq

from verdant.core import Timeout
from verdant.core.originals import allocate_lock, get_ident, start_new_thread
from verdant.sync import Future
from verdant.zmq.errors import WrongProcess
from verdant.zmq.socket import Socket

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LINGER_MS_DEFAULT", "Context"]

# ZeroMQ's own default is to wait for ever, so one dead peer keeps a process from ending. A second
# is enough for a living peer on the same network to take what is queued.
LINGER_MS_DEFAULT = 1000

# What a program waits for at its end, at the most, whatever its sockets' own linger says.
AT_EXIT_S_MAX = LINGER_MS_DEFAULT / 1000 + 0.5


class Context(zmq.Context[Socket]):
    """A ZeroMQ context for green threads; constructor and calls as in pyzmq.

    `sockopts` begins with LINGER at `LINGER_MS_DEFAULT`; set it to -1 for pyzmq's own behaviour.
    """

    _socket_class = Socket
    # A context of its own beside pyzmq's `instance()`, which hands out sockets that block.
    _instance = None
    # Declared here because pyzmq takes an assignment to any other name for an option.
    _pid: int = 0
    _ident: int = 0
    _ending: Future[None] | None = None
    _ending_lock: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - pyzmq's own
        super().__init__(*args, **kwargs)
        self._pid = os.getpid()
        self._ident = get_ident()
        self._ending_lock = allocate_lock()
        self.setsockopt(zmq.LINGER, LINGER_MS_DEFAULT)
        if not self._shadow:
            _open.add(self)

    def socket(
        self,
        socket_type: int,
        socket_class: Callable[..., Any] | None = None,
        **kwargs: Any,  # noqa: ANN401 - pyzmq's own
    ) -> Socket:
        """As pyzmq's. Raises `WrongProcess` in a forked child. Does not park."""
        if self._pid != os.getpid():
            raise WrongProcess(
                "this ZeroMQ context belongs to the parent process: make a Context in the child"
            )
        return super().socket(socket_type, socket_class, **kwargs)

    def term(self) -> None:
        """As pyzmq's: wait until every socket is closed and its messages are sent. Parks.

        An interrupted caller leaves; the context ends all the same.
        """
        if self.closed or self._pid != os.getpid():
            # In a forked child pyzmq leaves the parent's context alone.
            super().term()
            return
        with self._ending_lock:
            ending, mine = self._ending, self._ending is None
            if ending is None:
                ending = self._ending = Future()
        if mine:
            # A native thread of its own: it may wait for ever, and would keep the common ones busy.
            start_new_thread(self._end, (ending, super().term))
        ending.wait()

    @staticmethod
    def _end(ending: Future[None], term: Callable[[], None]) -> None:
        # In a native thread.
        try:
            term()
        except BaseException as exc:  # noqa: BLE001 - carried over to those who wait
            ending.set_exception(exc)
        else:
            ending.set_result(None)

    def destroy(self, linger: int | None = None) -> None:
        """As pyzmq's: close every socket, then `term`. Parks for `linger` ms at most."""
        if not self.closed:
            self._close_sockets(linger)
            self.term()

    def _close_sockets(self, linger: int | None) -> None:
        for socket in list(self._sockets or ()):
            if not socket.closed:
                # pyzmq sets this when a `with` block ends, as a sign of sockets left open.
                if self._warn_destroy_close:
                    warnings.warn(
                        f"destroying a context with unclosed {socket!r}",
                        ResourceWarning,
                        stacklevel=4,
                        source=socket,
                    )
                socket.close(linger)

    def __del__(self) -> None:
        # Wherever the garbage collector happens to run, the hub included: nobody may wait here.
        if self._shadow or not self._pid or self._pid != os.getpid() or sys.is_finalizing():
            return
        if not self.closed and self._ending is None:
            self._close_sockets(None)
            with suppress(RuntimeError):
                # No thread is to be had: then the process keeps the context to its end.
                start_new_thread(super().term, ())
            # Last, since a filter may make an error of it.
            warnings.warn(
                f"context {self!r} was forgotten: call its destroy()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


_open: WeakSet[Context] = WeakSet()


def _end_at_exit() -> None:
    # What a program sent last is delivered although it did not say goodbye. Contexts of other
    # native threads are theirs, and those that are parked in the middle of a call go as they are.
    for context in list(_open):
        if context._pid == os.getpid() and context._ident == get_ident():  # noqa: SLF001
            with Timeout(AT_EXIT_S_MAX, False):
                context.destroy()


atexit.register(_end_at_exit)
