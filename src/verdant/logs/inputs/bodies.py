"""Bodies: what a request's body unpacks to, within a bound.

Place     logs/inputs, pure.
Promise   never more than `bytes_max` bytes, whatever is packed into few; what cannot be unpacked
          raises `BadInput`, what is too long `BodyTooLarge`.
"""

from __future__ import annotations

import zlib

import cramjam
import zstandard

from verdant.logs.errors import BadInput
from verdant.logs.inputs.protowire import read_varint

__all__ = ["ENCODINGS", "BodyTooLarge", "unpack_body", "unpack_snappy"]

# What clients are told that we read.
ENCODINGS = "gzip, deflate, zstd"


class BodyTooLarge(BadInput):
    """Raised for a body that unpacks to more than an input takes. Send it in smaller pieces."""

    code = "logs-body-too-large"


def unpack_body(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """`body` without its Content-Encoding. Raises `BadInput`, `BodyTooLarge`."""
    name = encoding.strip().lower()
    try:
        if name in ("gzip", "x-gzip", "deflate"):
            # 32: gzip's head or zlib's, whichever it is.
            unpacker = zlib.decompressobj(32 + zlib.MAX_WBITS)
            body = unpacker.decompress(body, bytes_max + 1)
            if not unpacker.eof and len(body) <= bytes_max:
                raise BadInput(f"the {name} body breaks off")
        elif name == "zstd":
            with zstandard.ZstdDecompressor().stream_reader(body) as reader:
                body = reader.read(bytes_max + 1)
        elif name not in ("", "identity"):
            raise BadInput(f"a body in {name!r} cannot be read: use {ENCODINGS}")
    except (zlib.error, zstandard.ZstdError) as exc:
        raise BadInput(f"the {name} body cannot be unpacked ({exc})") from exc
    if len(body) > bytes_max:
        raise BodyTooLarge(f"the body is over {bytes_max} bytes")
    return body


def unpack_snappy(body: bytes, bytes_max: int) -> bytes:
    """A block of snappy, as Loki's clients send it. Raises `BadInput`, `BodyTooLarge`."""
    # The length comes first, and is believed only within the bound.
    if read_varint(body, 0)[0] > bytes_max:
        raise BodyTooLarge(f"the body is over {bytes_max} bytes")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as exc:
        raise BadInput(f"the snappy body cannot be unpacked ({exc})") from exc
