"""Framing: where one message ends and the next begins on a stream.

Place     logs/inputs, pure: bytes in, messages out.
Promise   however the bytes are cut into pieces, the same messages come out. A message over the
          limit is cut, and told as cut; it never takes more memory than the limit. What cannot be
          framed any more raises `BadInput`: the connection has to end.
Not here  what a message says.

    115 <13>1 2026-…   a length in decimal, a blank, so many bytes   RFC 6587, 3.4.1 and RFC 5425
    <13>1 2026-…\n     a line                                        RFC 6587, 3.4.2
    {"version":…}\0    up to a NUL                                   GELF over TCP

Both of syslog's ways may come on one connection; a length begins with 1 to 9, a line with "<".
"""

from __future__ import annotations

from typing import NamedTuple

from verdant.logs.errors import BadInput

__all__ = ["Framer", "Message"]

# Ten digits are more than any message has.
LENGTH_DIGITS_MAX = 10


class Message(NamedTuple):
    """One message without its frame. `cut`: bytes that went over the limit."""

    data: bytes
    cut: int = 0


class Framer:
    """Messages of at most `bytes_max` bytes, ended by `end`; by their length if `counted`."""

    def __init__(self, bytes_max: int, end: bytes = b"\n", *, counted: bool = False) -> None:
        self._bytes_max = bytes_max
        self._end = end
        self._counted = counted
        self._rest = b""
        # A message over the limit: its beginning, and how much of it is still to come (None: as
        # much as comes before the end).
        self._head: bytes | None = None
        self._cut = 0
        self._left: int | None = None

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole with `data`. Raises `BadInput`."""
        buffer = self._rest + data
        messages: list[Message] = []
        position = 0
        while position < len(buffer):
            if self._head is not None:
                position = self._skip(buffer, position, messages)
                continue
            if self._counted and buffer[position : position + 1].isdigit():
                following = self._take_counted(buffer, position, messages)
            else:
                following = self._take_line(buffer, position, messages)
            if following is None:
                break
            position = following
        self._rest = buffer[position:]
        return messages

    def finish(self) -> list[Message]:
        """What is left when the stream has ended: a last line without its end."""
        rest, self._rest = self._rest, b""
        if self._head is not None:
            head, self._head = self._head, None
            return [Message(head, self._cut)]
        # A counted message that broke off was never whole: its sender knows.
        return [Message(rest)] if rest and not (self._counted and rest[:1].isdigit()) else []

    def _take_line(self, buffer: bytes, position: int, messages: list[Message]) -> int | None:
        end = buffer.find(self._end, position)
        if end < 0:
            if len(buffer) - position <= self._bytes_max:
                return None
            self._head = buffer[position : position + self._bytes_max]
            self._cut, self._left = 0, None
            return position + self._bytes_max
        data = buffer[position:end]
        if data:
            messages.append(self._limited(data))
        return end + 1

    def _take_counted(self, buffer: bytes, position: int, messages: list[Message]) -> int | None:
        blank = buffer.find(b" ", position, position + LENGTH_DIGITS_MAX + 1)
        digits = buffer[position:blank] if blank >= 0 else buffer[position:]
        if not digits.isdigit() or digits.startswith(b"0") or len(digits) > LENGTH_DIGITS_MAX:
            raise BadInput(
                "a message begins neither with its length nor with <: "
                + ascii(buffer[position : position + 20])[1:]
            )
        if blank < 0:
            return None
        start, length = blank + 1, int(digits)
        if length <= self._bytes_max:
            if len(buffer) - start < length:
                return None
            messages.append(Message(buffer[start : start + length]))
            return start + length
        if len(buffer) - start < self._bytes_max:
            return None
        self._head = buffer[start : start + self._bytes_max]
        self._cut, self._left = 0, length - self._bytes_max
        return start + self._bytes_max

    def _skip(self, buffer: bytes, position: int, messages: list[Message]) -> int:
        """Pass over what is too long; where the next message begins."""
        head = self._head or b""
        if self._left is None:
            end = buffer.find(self._end, position)
            following = len(buffer) if end < 0 else end + 1
            self._cut += (len(buffer) if end < 0 else end) - position
            ended = end >= 0
        else:
            skipped = min(self._left, len(buffer) - position)
            following = position + skipped
            self._cut += skipped
            self._left -= skipped
            ended = not self._left
        if ended:
            self._head = None
            messages.append(Message(head, self._cut))
        return following

    def _limited(self, data: bytes) -> Message:
        return Message(data[: self._bytes_max], max(0, len(data) - self._bytes_max))
