"""Environ: a request as WSGI applications see it (PEP 3333).

Place     wsgi, pure; handler.py keeps a base per connection and copies it for each request.
Promise   bytes become text as latin-1, so that nothing is lost and applications can decode as they
          like; PATH_INFO is percent-decoded, QUERY_STRING is not. A field cannot pose as another:
          names with "_" are dropped, since "X_Y" and "X-Y" become the same variable, and so is
          Proxy, which would become HTTP_PROXY (CVE-2016-5385).
Not here  reading the body (input.py).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verdant.http import Request

__all__ = ["NoInput", "add_request", "base_environ", "make_environ"]

# Names of fields that clients send, so that each is translated once. Clients choose them, hence a
# bound; emptied when full, and the usual ones are back at the next request.
NAMES_REMEMBERED_MAX = 1024
NAME_BYTES_REMEMBERED_MAX = 64

_names: dict[str, str] = {}


class NoInput:
    """The input of a request without a body. It has no state, so one serves all."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Nothing."""
        return b""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Nothing."""
        return b""

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Nothing."""
        return []

    def __iter__(self) -> NoInput:
        return self

    def __next__(self) -> bytes:
        raise StopIteration


_no_input = NoInput()


def _key_of(name: str) -> str:
    """The variable of a field; "" for one that is not passed on."""
    lower = name.lower()
    if "_" in name or lower == "proxy":
        key = ""
    elif lower in ("content-type", "content-length"):
        key = lower.upper().replace("-", "_")
    else:
        key = "HTTP_" + lower.upper().replace("-", "_")
    if len(name) <= NAME_BYTES_REMEMBERED_MAX:
        if len(_names) >= NAMES_REMEMBERED_MAX:
            _names.clear()
        _names[name] = key
    return key


def base_environ(
    server: tuple[str, int],
    peer: tuple[str, int],
    scheme: str = "http",
    errors: object = None,
) -> dict[str, Any]:
    """The variables that all requests of a connection share; see `make_environ`. Does not park."""
    environ: dict[str, Any] = {
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": peer[0],
        "REMOTE_PORT": str(peer[1]),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": _no_input,
        "wsgi.input_terminated": True,
        "wsgi.errors": errors if errors is not None else sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if scheme == "https":
        environ["HTTPS"] = "on"
    return environ


def add_request(environ: dict[str, Any], request: Request) -> None:
    """Set what `request` says in an environ that has nothing of a request yet. Does not park."""
    path = request.target
    if path[0] != 0x2F or b"?" in path:
        path, _, query = request.path.partition(b"?")
        environ["QUERY_STRING"] = query.decode("latin-1")
    else:
        environ["QUERY_STRING"] = ""
    if b"%" in path:
        path = unquote_to_bytes(path)
    elif path == b"*":
        # OPTIONS * is about the server; WSGI wants a path.
        path = b"/"
    environ["REQUEST_METHOD"] = request.method.decode("latin-1")
    environ["PATH_INFO"] = path.decode("latin-1")
    environ["RAW_URI"] = environ["REQUEST_URI"] = request.target.decode("latin-1")
    environ["SERVER_PROTOCOL"] = "HTTP/1.1" if request.minor_version else "HTTP/1.0"
    # One decoding for the whole head; the first line is the request's.
    lines = iter(request.head.decode("latin-1").split("\r\n"))
    next(lines)
    known = _names
    for line in lines:
        name, _, value = line.partition(":")
        key = known.get(name)
        if key is None:
            key = _key_of(name)
        if not key:
            continue
        value = value.strip(" \t")
        if key in environ:
            # RFC 9110 section 5.3; and a cookie's own separator (RFC 6265 section 5.4).
            separator = "; " if key == "HTTP_COOKIE" else ","
            value = f"{environ[key]}{separator}{value}"
        environ[key] = value


def make_environ(
    request: Request,
    server: tuple[str, int],
    peer: tuple[str, int],
    scheme: str = "http",
    *,
    errors: object = None,
    extra: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """The environ of `request`, its input empty. Does not park.

    server, peer: the address it came to, and the one it came from. errors: `wsgi.errors`, stderr
    when left out. extra: variables that win over all others.
    """
    environ = base_environ(server, peer, scheme, errors)
    add_request(environ, request)
    if extra:
        environ.update(extra)
    return environ
