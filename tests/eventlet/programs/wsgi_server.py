"""A WSGI application on the WSGI server."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from verdant import eventlet
from verdant.eventlet import wsgi


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (piece for piece in (b"one ", b"two ", b"three"))
    if environ["PATH_INFO"] == "/echo":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read()]
    if environ["PATH_INFO"] == "/hook":
        hooks = environ["eventlet.posthooks"]
        hooks.append((lambda env, word: print(word, env["PATH_INFO"], flush=True), ("after",), {}))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["extra"].encode()]
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not Found\r\n"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, World!\r\n"]


listener = eventlet.listen(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
pool = eventlet.GreenPool(100)
wsgi.server(
    listener, application, log=sys.stdout, environ={"extra": "given"}, custom_pool=pool, keepalive=5
)
