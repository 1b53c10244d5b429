"""Headers: the fields of a message, in their order, as bytes.

Place     http, pure; messages.py makes them of heads, serializer.py writes them out.
Promise   order, repetition and the spelling of names are kept; look-ups ignore case. What
          `to_lines` gives, `from_lines` reads back as the same pairs; what would end a line early
          cannot be written at all.
Not here  what a field means (parser.py); a head's first line (serializer.py).

Why a list: messages have some twenty fields, and walking them costs less than keeping a dictionary
beside them; order and repetition matter to those who receive them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Field", "Headers", "is_token", "to_lines"]

Field = tuple[bytes, bytes]

is_token = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
# A value's bytes (RFC 9110 section 5.5): visible ones, obs-text, blanks and tabs inside.
_is_value = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?").fullmatch


def to_lines(fields: Iterable[Field]) -> bytes:
    r"""The fields as lines, each opened by its CR LF: `\r\nName: value`.

    Raises ValueError for a name or value that HTTP cannot carry, such as one with a line break.
    """
    lines = bytearray()
    for name, value in fields:
        if is_token(name) is None:
            raise ValueError(f"{name!r} cannot be the name of a header field")
        if _is_value(value) is None:
            raise ValueError(f"{value!r} cannot be the value of the header field {name!r}")
        lines += b"\r\n%b: %b" % (name, value)
    return bytes(lines)


class Headers:
    """An ordered list of (name, value) pairs of bytes whose names are found whatever their case."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[Field] = ()) -> None:
        self._fields: list[Field] = list(fields)

    @classmethod
    def from_lines(cls, lines: bytes) -> Headers:
        r"""The fields of lines as `to_lines` writes them, or as a parsed head holds them.

        `lines` must have passed the parser's grammar (or be our own): nothing is checked here.
        """
        fields = []
        for line in lines.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            fields.append((name, value.strip(b" \t")))
        return cls(fields)

    def to_lines(self) -> bytes:
        """The fields as lines; see the function of that name. Raises ValueError as it does."""
        return to_lines(self._fields)

    def get(self, name: bytes, default: bytes | None = None) -> bytes | None:
        """The first value of the field `name`, or `default`."""
        wanted = name.lower()
        for key, value in self._fields:
            if key.lower() == wanted:
                return value
        return default

    def get_all(self, name: bytes) -> list[bytes]:
        """Every value of the field `name`, in order."""
        wanted = name.lower()
        return [value for key, value in self._fields if key.lower() == wanted]

    def add(self, name: bytes, value: bytes) -> None:
        """Append a field, whether there is one of that name or not."""
        self._fields.append((name, value))

    def set(self, name: bytes, value: bytes) -> None:
        """Make `value` the only value of `name`, in the place of the first one there is."""
        wanted = name.lower()
        for index, (key, _) in enumerate(self._fields):
            if key.lower() == wanted:
                self._fields[index] = (name, value)
                after = self._fields[index + 1 :]
                self._fields[index + 1 :] = [pair for pair in after if pair[0].lower() != wanted]
                return
        self._fields.append((name, value))

    def remove(self, name: bytes) -> int:
        """Take out every field `name`. Returns how many there were."""
        wanted = name.lower()
        kept = [pair for pair in self._fields if pair[0].lower() != wanted]
        removed = len(self._fields) - len(kept)
        self._fields = kept
        return removed

    def copy(self) -> Headers:
        """The same fields in a list of their own."""
        return Headers(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and self.get(name) is not None

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        """True for the same pairs in the same order; spelling counts."""
        if isinstance(other, Headers):
            return self._fields == other._fields
        return NotImplemented

    # Mutable, so it can be no key.
    __hash__ = None  # type: ignore[assignment]  # object's annotation does not know unhashable

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"
