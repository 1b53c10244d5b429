"""WSGI: `server()` with Eventlet's parameters.

Place     eventlet, over the WSGI server.
Promise   a bounded number of clients at once, of a pool of the caller's choice; an access line per
          request in Eventlet's format; post hooks run when a request's answer is out. Killed or
          interrupted, it accepts nothing more and waits for the requests under way.
Differs   every wait for a client has a bound, also without `socket_timeout`. Malformed requests are
          refused. Tracebacks go to the log, never to a client (`debug`). Answers go out as they are
          made (`minimum_chunk_size`), with names of fields as they are given
          (`capitalize_response_headers`). Access lines name the peer, not what it says of others
          (`log_x_forwarded_for`). `protocol` and `max_http_version` mean nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from verdant.eventlet.greenpool import GreenPool
from verdant.http import HEAD_S_MAX, IDLE_S_MAX, STALLED_S_MAX, TARGET_BYTES_MAX
from verdant.wsgi import LINE_FORMAT, WsgiServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["DEFAULT_LOG_FORMAT", "DEFAULT_MAX_HTTP_VERSION", "server"]

DEFAULT_LOG_FORMAT = LINE_FORMAT
DEFAULT_MAX_HTTP_VERSION = "HTTP/1.1"
DEFAULT_MAX_SIMULTANEOUS_REQUESTS = 1024
MAX_REQUEST_LINE = 8192

# How long the end of a server waits for requests under way. Eventlet waits for ever; a day is as
# long as any of them can take, and the kernel's timers know no "for ever" with a bound.
DRAIN_S_MAX = 86400.0


def server(
    sock: Any,
    site: Callable[..., Iterable[bytes]],
    log: Any = None,
    environ: dict[str, Any] | None = None,
    max_size: int | None = None,
    max_http_version: str = DEFAULT_MAX_HTTP_VERSION,
    protocol: object = None,
    server_event: Any = None,
    minimum_chunk_size: int | None = None,
    log_x_forwarded_for: bool = True,
    custom_pool: Any = None,
    keepalive: bool | float = True,
    log_output: bool = True,
    log_format: str = DEFAULT_LOG_FORMAT,
    url_length_limit: int = MAX_REQUEST_LINE,
    debug: bool = True,
    socket_timeout: float | None = None,
    capitalize_response_headers: bool = True,
) -> None:
    """Serve the WSGI application `site` on the listening socket `sock`, for ever. Parks.

    `log`: a logger, or a file; stderr when left out, nothing without `log_output`. `environ`:
    variables for every request. `max_size`: clients at once, or `custom_pool`: the pool that serves
    them. `keepalive`: False ends a connection after its first answer; a number is the seconds to
    wait for the next request. `socket_timeout`: seconds for any wait for a client. `sock` is closed
    at the end. Raises AttributeError for a pool without `spawn` and `waitall`.
    """
    pool = GreenPool(max_size or DEFAULT_MAX_SIMULTANEOUS_REQUESTS)
    if custom_pool is not None:
        pool = custom_pool
        if not (hasattr(pool, "spawn") and hasattr(pool, "waitall")):
            raise AttributeError("a pool needs `spawn` and `waitall`, as eventlet.GreenPool has")
    waits_s = (IDLE_S_MAX, HEAD_S_MAX, STALLED_S_MAX)
    idle_s, head_s, stalled_s = waits_s if socket_timeout is None else (socket_timeout,) * 3
    if keepalive and not isinstance(keepalive, bool):
        idle_s = keepalive
    log_file = sys.stderr if log is None else log
    serving = WsgiServer(
        sock,
        _with_hooks(site),
        log=log_file if log_output else None,
        log_format=log_format,
        keep_alive=bool(keepalive),
        idle_s_max=idle_s,
        head_s_max=head_s,
        stalled_s_max=stalled_s,
        url_bytes_max=min(url_length_limit, TARGET_BYTES_MAX),
        environ=environ,
        spawn_with=lambda function, *args, name: pool.spawn(function, *args),
    )
    if server_event is not None:
        server_event.send(serving)
    say = _sayer(log_file)
    say(f"({os.getpid()}) wsgi starting up on {_where(sock)}")
    try:
        serving.serve_forever()
    except (KeyboardInterrupt, SystemExit):
        say("wsgi exiting")
    finally:
        serving.stop(DRAIN_S_MAX)
        say(f"({os.getpid()}) wsgi exited, is_accepting=True")


def _sayer(log: Any) -> Callable[[str], object]:
    if isinstance(log, logging.Logger | logging.LoggerAdapter):
        return log.info
    return lambda text: log.write(text + "\n")


def _where(sock: Any) -> str:
    scheme = "https" if hasattr(sock, "do_handshake") else "http"
    name = sock.getsockname()
    return f"{scheme}://{name[0]}:{name[1]}" if isinstance(name, tuple) else f"{scheme}:{name}"


# The post hooks of one request: functions, and their arguments behind the environ.
_Hooks = list[tuple["Callable[..., object]", tuple[Any, ...], dict[str, Any]]]


def _with_hooks(site: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        hooks: _Hooks = []
        environ["eventlet.posthooks"] = hooks
        # Eventlet's way for a long conversation to say that it may be cut; ours is always asked.
        environ["eventlet.set_idle"] = lambda: None
        try:
            result = site(environ, start_response)
        except BaseException:
            _run_hooks(hooks, environ)
            raise
        if isinstance(result, list | tuple) and not hooks:
            # All has been said: its length can go out with the head.
            return result
        return _Hooked(result, hooks, environ)

    return application


class _Hooked:
    """An application's result; closing it runs the post hooks too."""

    def __init__(self, result: Iterable[bytes], hooks: _Hooks, environ: dict[str, Any]) -> None:
        self._result = result
        self._hooks = hooks
        self._environ = environ

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._result)

    def close(self) -> None:
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            _run_hooks(self._hooks, self._environ)


def _run_hooks(hooks: _Hooks, environ: dict[str, Any]) -> None:
    for hook, args, kwargs in hooks:
        try:
            hook(environ, *args, **kwargs)
        except Exception:  # noqa: BLE001 - the other hooks are still to run; it is told
            traceback.print_exc(file=environ["wsgi.errors"])
