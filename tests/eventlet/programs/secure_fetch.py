"""Several pages over TLS at once, the server's certificate checked."""

from __future__ import annotations

import sys
from typing import Any

from verdant.eventlet import spawn
from verdant.eventlet.green import ssl
from verdant.eventlet.green.urllib.request import urlopen

context = ssl.create_default_context(cafile=sys.argv[1])


def fetch(url: str) -> Any:
    return urlopen(url, context=context)


bodies = [spawn(fetch, url) for url in sys.argv[2:]]
for body in bodies:
    print(body.wait().read().decode())
