"""WSGI hello on gevent's pywsgi."""

import sys

from gevent.pywsgi import WSGIServer


def application(_environ, start_response):  # noqa: ANN001, ANN201 - gevent has no types
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


WSGIServer(
    ("127.0.0.1", int(sys.argv[1])), application, log=None, error_log=None, backlog=4096
).serve_forever()
