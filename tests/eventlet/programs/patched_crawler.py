"""The same with the process patched: the stdlib's own urllib is green then."""

from verdant import eventlet

eventlet.monkey_patch()

import sys  # noqa: E402 - what is patched has to be patched first
import threading  # noqa: E402
from urllib.request import urlopen  # noqa: E402

from verdant.eventlet import patcher  # noqa: E402

bodies: dict[str, bytes] = {}


def fetch(url: str) -> None:
    with urlopen(url) as answer:
        bodies[url] = answer.read()


threads = [threading.Thread(target=fetch, args=(url,)) for url in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for url in sys.argv[1:]:
    print(url.rpartition("/")[2], len(bodies[url]), bodies[url].decode())
print([patcher.is_monkey_patched(name) for name in ("socket", "thread", "time", "os", "select")])
print(patcher.is_monkey_patched(sys.modules["time"]))
