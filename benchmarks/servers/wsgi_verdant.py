"""WSGI hello on Verdant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from verdant.net import listen
from verdant.wsgi import server

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


server(listen(("127.0.0.1", int(sys.argv[1]))), application)
