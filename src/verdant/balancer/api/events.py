"""Events: the change feed as server-sent events (WHATWG HTML, section 9.2).

Place     balancer/api; GET /v1/changes.
Promise   who comes back with the `Last-Event-ID` that it saw gets every change since, or one
          `gap` event: then it reads the table, whose version is the event's id, and goes on.
          A client that left is noticed within `HEARTBEAT_S`.
Not here  keeping changes (changefeed.py); ZeroMQ (publisher.py).

    id: 42                                              id: 57
    event: change                                       event: gap
    data: {"version":42,"after":41,"put":{...},...}     data: {"version":57,"reason":"..."}
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from werkzeug.wrappers import Response

from verdant.balancer.answering import json_answer
from verdant.balancer.api.shapes import change_json
from verdant.balancer.changefeed import Change, ChangeFeed, Gap
from verdant.balancer.errors import BadRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.wrappers import Request

__all__ = ["Events"]

# Well below the minute after which proxies and firewalls forget a silent connection.
HEARTBEAT_S = 15.0
# Of the connections that the management API has; the rest is for those who change rules.
FOLLOWERS_MAX = 128

_version = re.compile(r"[0-9]{1,18}").fullmatch


class Events:
    """The handler of /v1/changes. Followers run at the same time."""

    def __init__(self, feed: ChangeFeed, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._feed = feed
        self._heartbeat_s = heartbeat_s
        self._followers_count = 0

    def changes(self, request: Request) -> Response:
        """An answer without end. Its iterator parks."""
        text = request.headers.get("Last-Event-ID") or request.args.get("after")
        if text is not None and not _version(text):
            raise BadRule("version_invalid", "Last-Event-ID, or after, is the number of a change")
        if self._followers_count >= FOLLOWERS_MAX:
            response = json_answer(
                {
                    "error": "too_many_followers",
                    "message": f"{FOLLOWERS_MAX} clients follow already; close one of them",
                },
                503,
            )
            response.headers["Retry-After"] = "5"
            return response
        after = None if text is None else int(text)
        response = Response(content_type="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        if request.method != "HEAD":
            response.response = self._stream(after)
        return response

    def _stream(self, after: int | None) -> Iterator[bytes]:
        self._followers_count += 1
        try:
            # At once, so that the client knows that it follows from here.
            yield b": following from %d\n\n" % (self._feed.version if after is None else after)
            for event in self._feed.follow(after, self._heartbeat_s):
                yield _spell(event)
        finally:
            self._followers_count -= 1


def _spell(event: Change | Gap | None) -> bytes:
    if event is None:
        return b": still here\n\n"
    if isinstance(event, Gap):
        name, data = b"gap", {"version": event.version, "reason": event.reason}
    else:
        name, data = b"change", change_json(event)
    # JSON from msgspec has no line breaks, so one data line holds it.
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.version, name, msgspec.json.encode(data))
