"""A management application over WSGI: python management.py [HOST:PORT]

The application is a plain WSGI one: any framework's would do in its place. It counts, per host,
what it is told to count, and answers with the counts as JSON.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from verdant import listen
from verdant.net import bound_address
from verdant.wsgi import server


class ManagementApp:
    """GET / for the counts, POST /HOST to count one more."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def handle(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application."""
        if environ["REQUEST_METHOD"] == "POST":
            # No lock: nothing here waits, so no other green thread runs meanwhile.
            self._counts[environ["PATH_INFO"].removeprefix("/")] += 1
        body = json.dumps(self._counts).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]


def main(address: str) -> None:
    """Serve until Ctrl-C."""
    sock = listen(address)
    print(f"listening on {bound_address(sock)}", flush=True)
    try:
        server(sock, ManagementApp().handle, grace_s=5)
    except KeyboardInterrupt:
        print("closed")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "127.0.0.1:8042")
