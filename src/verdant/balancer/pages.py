"""Pages: stored answers, the shipped ones and the operator's own.

Place     balancer.
Promise   a page is `NAME.http`: a status line, header fields, a blank line, a body. The operator's
          `static_dir` goes first; a missing or broken page falls back to a shipped one, told once.
Not here  which page a request gets (actions/).
"""

from __future__ import annotations

import logging
from importlib.resources import files
from pathlib import Path

from verdant.http import Field, Response

__all__ = ["Pages", "parse_page"]

# A page is kept in memory: a site belongs behind a `proxy` rule.
PAGE_BYTES_MAX = 1024 * 1024

# Written anew for every answer, whatever the file says.
_OURS = frozenset({b"content-length", b"connection", b"transfer-encoding", b"date"})

_log = logging.getLogger("verdant.balancer")


def parse_page(data: bytes) -> Response:
    """The answer stored in `data`; line ends may be LF alone. Raises ValueError."""
    normal = data.replace(b"\r\n", b"\n")
    head, blank, body = normal.partition(b"\n\n")
    lines = head.split(b"\n")
    version, _, status = lines[0].partition(b" ")
    if not blank or not version.startswith(b"HTTP/") or not status[:3].isdigit():
        raise ValueError("a page begins with a status line and has a blank line after its fields")
    fields: list[Field] = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError(f"{line!r} is not a header field")
        if name.strip().lower() not in _OURS:
            fields.append((name.strip(), value.strip()))
    return Response(int(status[:3]), fields, body)


class Pages:
    """Pages by name, read once each. `static_dir`: the operator's own, or None."""

    def __init__(self, static_dir: str | None = None) -> None:
        self._static_dir = None if static_dir is None else Path(static_dir)
        self._read: dict[str, Response] = {}

    def page(self, name: str) -> Response:
        """The page `name`, or the `unknown` page when there is none. Reads a small file."""
        found = self._read.get(name)
        if found is None:
            found = self._read[name] = self._own(name) or self._shipped(name)
        return found

    def _own(self, name: str) -> Response | None:
        if self._static_dir is None:
            return None
        path = self._static_dir / f"{name}.http"
        try:
            with path.open("rb") as file:
                return parse_page(file.read(PAGE_BYTES_MAX))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            _log.warning("cannot use the page %s (%s): the shipped one is sent instead", path, exc)
            return None

    @staticmethod
    def _shipped(name: str) -> Response:
        folder = files("verdant.balancer") / "pages"
        file = folder / f"{name}.http"
        if not file.is_file():
            _log.warning("there is no page %r: the page 'unknown' is sent instead", name)
            file = folder / "unknown.http"
        return parse_page(file.read_bytes())
