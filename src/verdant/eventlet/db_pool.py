"""Database pools: connections of any DB-API 2 module, lent, and closed when they get old.

Place     eventlet, over its pool. Eventlet's documented classes; Verdant's own is `sync.Pool`.
Promise   a connection that comes back is rolled back first, and is dropped if that fails; one that
          is idle or old is closed by a timer, and its place is free again.
Differs   what `cleanup` raises goes to the log `verdant.eventlet`, not to standard output.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from verdant import core
from verdant.eventlet import tpool
from verdant.eventlet.pools import Pool
from verdant.eventlet.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "BaseConnectionPool",
    "ConnectTimeout",
    "ConnectionPool",
    "DatabaseConnector",
    "GenericConnectionWrapper",
    "PooledConnectionWrapper",
    "RawConnectionPool",
    "TpooledConnectionPool",
    "cleanup_rollback",
]

_MISSING: Any = object()

_log = logging.getLogger("verdant.eventlet")


class ConnectTimeout(Exception):
    """Raised by `get()` when the database took too long to connect to."""


def cleanup_rollback(conn: Any) -> None:
    """Undo what was not committed."""
    conn.rollback()


class _Idle:
    """A connection in the pool: when it was made and last used, by the hub's clock."""

    __slots__ = ("connection", "made", "used")

    def __init__(self, connection: Any, made: float) -> None:
        self.connection = connection
        self.made = made
        self.used = core.monotonic()


class GenericConnectionWrapper:
    """Stands for a connection: has what it has."""

    def __init__(self, baseconn: Any) -> None:
        self._base = baseconn

    def __getattr__(self, name: str) -> Any:
        if name == "_base":
            raise AttributeError("this connection was given back to its pool")
        return getattr(self._base, name)

    def __enter__(self) -> Any:
        return self._base.__enter__()

    def __exit__(self, *exc: object) -> Any:
        return self._base.__exit__(*exc)

    def __repr__(self) -> str:
        return repr(self.__dict__.get("_base"))


class PooledConnectionWrapper(GenericConnectionWrapper):
    """A connection on loan: closing it gives it back, and it is of no use afterwards."""

    def __init__(self, baseconn: Any, pool: BaseConnectionPool, made: float = 0.0) -> None:
        super().__init__(baseconn)
        self._pool: BaseConnectionPool | None = pool
        self._made = made

    def __bool__(self) -> bool:
        return bool(self.__dict__.get("_base"))

    def close(self) -> None:
        """Give it back. Does not park, unless `cleanup` does."""
        if self._pool is not None and self:
            self._pool.put(self)

    def take(self) -> tuple[Any, float]:
        """The connection, if it is of use, and when it was made; this object has it no more."""
        base = self._base if self else None
        self.__dict__.pop("_base", None)
        self._pool = None
        return base, self._made


class BaseConnectionPool(Pool):
    """Lends connections that `db_module.connect(*args, **kwargs)` makes.

    `max_idle`, `max_age`: seconds that a connection may lie in the pool, and live; 0 closes each
    when it comes back. `connect_timeout`: seconds to connect. `cleanup`: called with a connection
    that comes back; None calls nothing.
    """

    def __init__(
        self,
        db_module: Any,
        min_size: int = 0,
        max_size: int = 4,
        max_idle: float = 10,
        max_age: float = 30,
        connect_timeout: float | None = 5,
        cleanup: Callable[[Any], Any] | None = cleanup_rollback,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._db_module = db_module
        self._args = args
        self._kwargs = kwargs
        self.max_idle = max_idle
        self.max_age = max_age
        self.connect_timeout = connect_timeout
        self.cleanup = cleanup
        self._timer: core.Timer | None = None
        super().__init__(min_size=min_size, max_size=max_size, order_as_stack=True)

    @classmethod
    def connect(cls, db_module: Any, connect_timeout: float | None, *args: Any, **kw: Any) -> Any:
        """A new connection, or `ConnectTimeout` after `connect_timeout` seconds. Parks."""
        raise NotImplementedError("Implement in subclass")

    def create(self) -> _Idle:
        """A new connection. Parks."""
        connection = self.connect(
            self._db_module, self.connect_timeout, *self._args, **self._kwargs
        )
        return _Idle(connection, core.monotonic())

    def get(self) -> PooledConnectionWrapper:
        """Borrow a connection. Parks while all are lent, and while one is made."""
        idle: _Idle = super().get()
        return PooledConnectionWrapper(idle.connection, self, idle.made)

    def put(self, conn: PooledConnectionWrapper, cleanup: Any = _MISSING) -> None:
        """Give a connection back, after `cleanup`, the pool's own when left out."""
        connection, made = conn.take()
        idle = _Idle(connection, made)
        cleanup = self.cleanup if cleanup is _MISSING else cleanup
        if connection is None:
            self.dismiss()
        elif self._is_over(idle):
            _close(connection)
            self.dismiss()
        elif self._cleaned(connection, cleanup):
            super().put(idle)
            self._watch_age()
        else:
            self.dismiss()

    def _cleaned(self, connection: Any, cleanup: Callable[[Any], Any] | None) -> bool:
        try:
            if cleanup is not None:
                cleanup(connection)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the connection is of no use
            _log.warning("a connection is dropped, since %s raised: %s", cleanup, exc)
            return False
        except BaseException:
            self.dismiss()
            raise
        return True

    @contextmanager
    def item(self, cleanup: Any = _MISSING) -> Iterator[PooledConnectionWrapper]:
        """Borrow a connection for a `with` block. Parks as `get` does."""
        connection = self.get()
        try:
            yield connection
        finally:
            self.put(connection, cleanup)

    def clear(self) -> None:
        """Close the connections that are in the pool. Does not park, unless closing does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self.free_items:
            self.current_size -= 1
            _close(self.free_items.popleft().connection)

    # Old connections.

    def _left_s(self, idle: _Idle) -> float:
        now = core.monotonic()
        return min(idle.used + self.max_idle - now, idle.made + self.max_age - now)

    def _is_over(self, idle: _Idle) -> bool:
        return self.max_idle <= 0 or self.max_age <= 0 or self._left_s(idle) < 0

    def _watch_age(self) -> None:
        if self.free_items and (self._timer is None or not self._timer.pending):
            first_s = min(map(self._left_s, self.free_items))
            hub = core.current_hub()
            # A green thread closes them: a callback of the hub must not wait, and closing may.
            self._timer = hub.run_later(max(0.0, first_s), core.spawn, self._close_old)

    def _close_old(self) -> None:
        old = [idle for idle in self.free_items if self._is_over(idle)]
        for idle in old:
            self.free_items.remove(idle)
            self.current_size -= 1
        self._watch_age()
        for idle in old:
            _close(idle.connection)


def _close(connection: Any) -> None:
    try:
        connection.close()
    except Exception as exc:  # noqa: BLE001 - it is dropped either way
        _log.warning("closing a connection raised: %s", exc)


class TpooledConnectionPool(BaseConnectionPool):
    """Lends connections whose methods, and cursors' methods, run in native threads."""

    @classmethod
    def connect(cls, db_module: Any, connect_timeout: float | None, *args: Any, **kw: Any) -> Any:
        """A new connection. Parks. Raises `ConnectTimeout`."""
        with Timeout(connect_timeout, ConnectTimeout()):
            connection = tpool.execute(db_module.connect, *args, **kw)
        return tpool.Proxy(connection, autowrap_names=("cursor",))


class RawConnectionPool(BaseConnectionPool):
    """Lends connections as they are, for drivers that are green by themselves."""

    @classmethod
    def connect(cls, db_module: Any, connect_timeout: float | None, *args: Any, **kw: Any) -> Any:
        """A new connection. Parks. Raises `ConnectTimeout`."""
        with Timeout(connect_timeout, ConnectTimeout()):
            return db_module.connect(*args, **kw)


ConnectionPool = TpooledConnectionPool


class DatabaseConnector:
    """A pool per host and database.

    `credentials`: the arguments to connect with, by host, or by "default" for any other.
    `conn_pool`: the class of the pools; what follows goes to it.
    """

    def __init__(
        self,
        module: Any,
        credentials: dict[str, dict[str, Any]],
        conn_pool: type[BaseConnectionPool] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._module = module
        self._credentials = credentials
        self._pool_class = conn_pool or ConnectionPool
        self._args = args
        self._kwargs = kwargs
        self._databases: dict[tuple[str, str], BaseConnectionPool] = {}

    def credentials_for(self, host: str) -> dict[str, Any] | None:
        """What to connect to `host` with."""
        return self._credentials.get(host, self._credentials.get("default"))

    def get(self, host: str, dbname: str) -> BaseConnectionPool:
        """The pool for a database of a host. Does not park."""
        pool = self._databases.get((host, dbname))
        if pool is None:
            arguments = {**self._kwargs, "db": dbname, "host": host}
            arguments.update(self.credentials_for(host) or {})
            pool = self._pool_class(self._module, *self._args, **arguments)
            self._databases[host, dbname] = pool
        return pool
