"""Pages: stored answers, the shipped ones and the operator's own.

Place     balancer.
Promise   a page is `NAME.http`: a status line, header fields, a blank line, a body. The operator's
          `static_dir` goes first; a missing or broken page falls back to a shipped one, told once.
Not here  which page a request gets (actions/).
"""

from __future__ import annotations

import logging
import re
from importlib.resources import files
from pathlib import Path

from verdant.http import Field, Response, response_head

__all__ = ["Pages", "parse_page"]

# A page is kept in memory: a site belongs behind a `proxy` rule.
PAGE_BYTES_MAX = 1024 * 1024

# Written anew for every answer, whatever the file says.
_OURS = frozenset({b"content-length", b"connection", b"transfer-encoding", b"date"})

# The body keeps its bytes, an image's too: only the head's line ends are free.
_blank_line = re.compile(rb"\r?\n\r?\n").search
# Not 1xx: those announce an answer and are none.
_status_line = re.compile(rb"HTTP/[0-9.]+ ([2-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?").fullmatch

_log = logging.getLogger("verdant.balancer")


def parse_page(data: bytes) -> Response:
    """The answer stored in `data`; line ends may be LF alone. Raises ValueError. Does not park."""
    if len(data) > PAGE_BYTES_MAX:
        raise ValueError(f"a page has at most {PAGE_BYTES_MAX} bytes; serve larger ones by a proxy")
    blank = _blank_line(data)
    status_line, *lines = re.split(rb"\r?\n", data[: blank.start()] if blank else data)
    match = _status_line(status_line)
    if blank is None or match is None:
        raise ValueError("a page begins with a status line and has a blank line after its fields")
    fields: list[Field] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError(f"{line!r} is not a header field")
        if name.lower() not in _OURS:
            fields.append((name, value.strip(b" \t")))
    # What could not be sent is found out now, not by a client.
    response_head(int(match[1]), fields)
    return Response(int(match[1]), fields, data[blank.end() :])


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

    def failure_page(self, name: str) -> Response:
        """The page for a failed backend: the operator's NAME, or `timeout`, or the shipped NAME.

        Mantrid has one page for all of these, so an operator who wrote it wants it shown.
        """
        found = self._read.get(name)
        if found is None:
            found = self._own(name) or self._own("timeout") or self._shipped(name)
            self._read[name] = found
        return found

    def _own(self, name: str) -> Response | None:
        if self._static_dir is None:
            return None
        path = self._static_dir / f"{name}.http"
        try:
            with path.open("rb") as file:
                return parse_page(file.read(PAGE_BYTES_MAX + 1))
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
