"""WSGI hello on eventlet.wsgi."""

import sys

import eventlet
from eventlet import wsgi


def application(_environ, start_response):  # noqa: ANN001, ANN201 - Eventlet has no types
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


listener = eventlet.listen(("127.0.0.1", int(sys.argv[1])), backlog=4096)
wsgi.server(listener, application, max_size=10_000, log_output=False)
