"""WSGI: applications of PEP 3333 behind the http floor."""

from verdant.wsgi.environ import make_environ
from verdant.wsgi.server import wsgi_handler

__all__ = ["make_environ", "wsgi_handler"]
