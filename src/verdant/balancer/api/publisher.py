"""Publisher: the change feed on a ZeroMQ PUB socket.

Place     balancer/api; service.py opens one when `[balancer.feed]` names an endpoint.
Promise   changes go out in their order, with their numbers. PUB keeps nothing for who is late or
          slow, so a subscriber compares `after` with the last number it saw: if they differ it
          reads GET /v1/hosts, and goes on from the version there.
Not here  server-sent events, which resume (events.py).

    [b"change", b"42", {"version": 42, "after": 41, ...}]     [b"gap", b"57", {"version": 57, ...}]
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from verdant.balancer.api.shapes import change_json
from verdant.balancer.changefeed import Gap
from verdant.core import spawn
from verdant.net import AddressUnusable
from verdant.zmq import LINGER, MAXMSGSIZE, PUB, Context, ZMQError
from verdant.zmq.security import REQUEST_BYTES_MAX, read_keys, secure_server

if TYPE_CHECKING:
    from verdant.balancer.changefeed import ChangeFeed
    from verdant.balancer.config import FeedConfig
    from verdant.core import GreenThread

__all__ = ["ChangePublisher"]

_log = logging.getLogger("verdant.balancer")


class ChangePublisher:
    """A PUB socket for changes, or nothing. Opening raises `AddressUnusable`, `BadKeyFile`."""

    def __init__(self, config: FeedConfig) -> None:
        self._following: GreenThread[None] | None = None
        self._context = Context() if config.publish else None
        if self._context is None or config.publish is None:
            return
        try:
            self._socket = self._context.socket(PUB)
            self._socket.setsockopt(LINGER, 0)
            # Subscribers send subscriptions, and those are short.
            self._socket.setsockopt(MAXMSGSIZE, REQUEST_BYTES_MAX)
            if config.keys is not None and config.allow is not None:
                name = f"changes on {config.publish}"
                secure_server(self._socket, read_keys(config.keys), allow=config.allow, name=name)
            self._socket.bind(config.publish)
        except ZMQError as exc:
            self.close()
            raise AddressUnusable(
                f"cannot publish changes on {config.publish} ({exc.strerror}): stop who listens "
                "there, or choose another endpoint"
            ) from exc
        except BaseException:
            self.close()
            raise

    def start(self, feed: ChangeFeed) -> None:
        """Begin to publish what `feed` has from now on. Does not park."""
        if self._context is not None:
            self._following = spawn(self._follow, feed, feed.version, name="change publisher")

    def close(self) -> None:
        """Stop publishing. Parks for a moment."""
        if self._following is not None:
            self._following.cancel()
            self._following.join()
        if self._context is not None:
            self._context.destroy(linger=0)

    def _follow(self, feed: ChangeFeed, version: int) -> None:
        for event in feed.follow(version):
            if event is None:
                continue
            number = b"%d" % event.version
            if isinstance(event, Gap):
                data: object = {"version": event.version, "reason": event.reason}
                frames = [b"gap", number, msgspec.json.encode(data)]
            else:
                frames = [b"change", number, msgspec.json.encode(change_json(event))]
            try:
                self._socket.send_multipart(frames)
            except ZMQError as exc:
                _log.warning("cannot publish change %d: %s", event.version, exc)
