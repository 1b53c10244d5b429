"""The client pattern: fetch several pages at once, and take them in order."""

from __future__ import annotations

import sys

from verdant import eventlet
from verdant.eventlet.green.urllib.request import urlopen


def fetch(url: str) -> tuple[str, bytes]:
    return url, urlopen(url).read()


pool = eventlet.GreenPool(200)
for url, body in pool.imap(fetch, sys.argv[1:]):
    print(url.rpartition("/")[2], len(body), body.decode())
