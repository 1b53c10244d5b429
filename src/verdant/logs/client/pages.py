"""Pages: where an answer ended, as a short text that a person can pass on.

Place     logs/client, pure.
Promise   `decode_page(encode_page(...))` gives back the place; any other text is a `BadQuery`.

It has the asker's clock too: "the last hour" is the same hour on the second page.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import msgspec

from verdant.logs.errors import BadQuery

if TYPE_CHECKING:
    from verdant.logs.protocol import Row

__all__ = ["decode_page", "encode_page"]

_Place = tuple[int, str, int, int, int]
_decode = msgspec.msgpack.Decoder(tuple[_Place, int]).decode


def encode_page(row: Row, now_ns: int) -> str:
    """The page behind `row`, asked at `now_ns`."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((row.place, now_ns))).decode()


def decode_page(page: str) -> tuple[_Place, int]:
    """The place and the clock in `page`. Raises `BadQuery`."""
    try:
        return _decode(base64.b64decode(page.encode("ascii"), altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, ValueError) as exc:
        raise BadQuery(f"{page!r} is no page: expected one that an answer gave", 0) from exc
