"""WSGI: applications of PEP 3333 served over HTTP, and WebSockets beside them.

WebSockets need the extra `websocket`, so theirs are looked up on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from verdant.wsgi.access import LINE_FORMAT, AccessEntry, access_line
from verdant.wsgi.environ import make_environ
from verdant.wsgi.files import FileWrapper
from verdant.wsgi.handler import wsgi_handler
from verdant.wsgi.serving import WsgiServer, server

if TYPE_CHECKING:
    from verdant.wsgi.upgrade import websocket

__all__ = [
    "LINE_FORMAT",
    "AccessEntry",
    "FileWrapper",
    "WsgiServer",
    "access_line",
    "make_environ",
    "server",
    "websocket",
    "wsgi_handler",
]


def __getattr__(name: str) -> object:
    if name == "websocket":
        return import_module("verdant.wsgi.upgrade").websocket
    raise AttributeError(f"module 'verdant.wsgi' has no attribute {name!r}")
