"""WSGI: applications of PEP 3333 served over HTTP, and WebSockets beside them."""

from verdant.wsgi.access import LINE_FORMAT, AccessEntry, access_line
from verdant.wsgi.environ import make_environ
from verdant.wsgi.files import FileWrapper
from verdant.wsgi.handler import wsgi_handler
from verdant.wsgi.serving import WsgiServer, server

__all__ = [
    "LINE_FORMAT",
    "AccessEntry",
    "FileWrapper",
    "WsgiServer",
    "access_line",
    "make_environ",
    "server",
    "wsgi_handler",
]
