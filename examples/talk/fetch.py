"""Fetch several URLs at once, with the stdlib's urllib: python fetch.py URL...

The talk spawned a green thread per URL and imported a green copy of urllib2. Here the stdlib is
patched, so the one urllib there is waits for its green thread only.
"""

from verdant import GreenThread, monkey_patch, spawn

monkey_patch()

import sys  # noqa: E402 - the patch comes before what it patches
import urllib.request  # noqa: E402


def fetch(url: str) -> bytes:
    """The body that `url` answers with."""
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
    return body


def main(urls: list[str]) -> None:
    """Print how much each URL answered with, in the order in which they were given."""
    threads: list[GreenThread[bytes]] = [spawn(fetch, url) for url in urls]
    for url, thread in zip(urls, threads, strict=True):
        # wait() returns what fetch() did, or raises what it raised.
        print(f"{url}: {len(thread.wait())} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
