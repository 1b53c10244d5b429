"""Crawl a site: each page that is fetched spawns a fetch of each page that it names."""

from __future__ import annotations

import re
import sys

from verdant import eventlet
from verdant.eventlet.green.urllib.request import urlopen

URL = re.compile(r"http://[\w.:/-]+")


def fetch(url: str, seen: set[str], pool: eventlet.GreenPool) -> None:
    data = ""
    with eventlet.Timeout(5, False):
        data = urlopen(url).read().decode()
    for new_url in URL.findall(data):
        # While this is sent, others run: so it is noted first.
        if new_url not in seen and new_url.startswith(start):
            seen.add(new_url)
            pool.spawn_n(fetch, new_url, seen, pool)


def crawl(start_url: str) -> set[str]:
    pool = eventlet.GreenPool(10)
    seen = {start_url}
    fetch(start_url, seen, pool)
    pool.waitall()
    return seen


start = sys.argv[1]
for found in sorted(crawl(start)):
    print(found.removeprefix(start) or "/")
