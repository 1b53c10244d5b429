"""The dispatch pattern: a server that is the client of others for each of its requests."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from verdant import eventlet
from verdant.eventlet import wsgi

sys.path.insert(0, str(Path(__file__).parent))
feed_titles: Any = eventlet.import_patched("feed_titles")

# One bound on what goes out, whoever it is for.
pool = eventlet.GreenPool()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] != "POST":
        start_response("403 Forbidden", [])
        return []
    pile = eventlet.GreenPile(pool)
    for line in environ["wsgi.input"].readlines():
        url = line.decode().strip()
        if url:
            pile.spawn(feed_titles.title_of, url)
    # A pile gives its results as they are needed.
    titles = "\n".join(pile)
    start_response("200 OK", [("Content-type", "text/plain")])
    return [titles.encode()]


server = eventlet.listen(("127.0.0.1", 0))
print("listening", server.getsockname()[1], flush=True)
wsgi.server(server, application, log_output=False)
