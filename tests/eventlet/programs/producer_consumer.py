"""Crawl a site: fetches put what they find into a queue, and a producer feeds the pool from it."""

from __future__ import annotations

import re
import sys

from verdant import eventlet
from verdant.eventlet.green.urllib.request import urlopen

URL = re.compile(r"http://[\w.:/-]+")


def fetch(url: str, found: eventlet.Queue) -> None:
    data = ""
    with eventlet.Timeout(5, False):
        data = urlopen(url).read().decode()
    for new_url in URL.findall(data):
        found.put(new_url)


def produce(start_url: str) -> set[str]:
    pool = eventlet.GreenPool()
    seen: set[str] = set()
    queue = eventlet.Queue()
    queue.put(start_url)
    # There may be more while there are URLs, or workers that may find some.
    while True:
        while not queue.empty():
            url = queue.get()
            if url not in seen and url.startswith(start_url):
                seen.add(url)
                pool.spawn_n(fetch, url, queue)
        pool.waitall()
        if queue.empty():
            break
    return seen


start = sys.argv[1]
for each in sorted(produce(start)):
    print(each.removeprefix(start) or "/")
