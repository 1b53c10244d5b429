"""Protowire: Protocol Buffers' wire format, as far as small messages need it.

Place     logs/inputs, pure. For messages of three fields; OTLP has its generated ones.
Promise   bytes that are no message raise `BadInput`, and nothing else.
Source    https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.logs.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bytes_field", "fields_of", "read_varint"]

# 64 bits in groups of seven.
VARINT_BYTES_MAX = 10
_FIXED = {1: 8, 5: 4}


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and where it ends. Raises `BadInput`."""
    value = 0
    for index in range(VARINT_BYTES_MAX):
        if position + index >= len(data):
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), position + index + 1
    raise BadInput("the protobuf message breaks off within a number")


def fields_of(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field's number and value: an int of a varint, else its bytes. Raises `BadInput`."""
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        kind = key & 7
        if kind == 0:
            number, position = read_varint(data, position)
            yield key >> 3, number
            continue
        if kind == 2:
            length, position = read_varint(data, position)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise BadInput(f"the protobuf message has a field of kind {kind}")
        if length > len(data) - position:
            raise BadInput("the protobuf message breaks off within a field")
        yield key >> 3, data[position : position + length]
        position += length


def bytes_field(number: int, value: bytes) -> bytes:
    """A field that holds `value`; `number` below 16."""
    length = len(value)
    size = bytearray()
    while length >= 0x80:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + value
