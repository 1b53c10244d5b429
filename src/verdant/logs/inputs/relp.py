"""RELP: frames of the Reliable Event Logging Protocol, and what to answer to each.

Place     logs/inputs, pure: bytes in, frames out; frames in, answers out.
Promise   however the bytes are cut, the same frames come out. A frame that cannot be read or is
          over the limit raises `BadInput`: RELP has no way to go on behind it.
Not here  storing (streams.py). A message is answered 200 after it is on disk and only then; the
          sender keeps it until that answer and sends it again on its next connection.
Source    librelp's doc/relp.html: https://github.com/rsyslog/librelp

    frame    TXNR SP COMMAND SP DATALEN [SP DATA] LF        3 syslog 12 <34>1 - - - \n
    answer   TXNR SP rsp SP DATALEN SP DATA LF              3 rsp 6 200 OK\n
"""

from __future__ import annotations

import re
from typing import NamedTuple

from verdant.logs.errors import BadInput

__all__ = ["Frame", "RelpParser", "accepted", "goodbye", "opened", "refused"]

# Over a frame's data: what a header can have at most.
HEADER_BYTES_MAX = 64
# The number, the command and the data's length; the number may wrap at 999,999,999.
_header = re.compile(rb"([0-9]{1,9}) ([a-zA-Z]{1,32}) ([0-9]{1,9})([ \n])").match
# What may be the beginning of one.
_begun = re.compile(rb"[0-9]{1,9}(?: (?:[a-zA-Z]{1,32}(?: (?:[0-9]{1,9})?)?)?)?").fullmatch


class Frame(NamedTuple):
    """One frame from a sender."""

    number: int
    command: str
    data: bytes


class RelpParser:
    """Frames whose data have at most `bytes_max` bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole with `data`. Raises `BadInput`."""
        buffer = self._rest + data
        frames = []
        position = 0
        while position < len(buffer):
            match = _header(buffer, position)
            if match is None:
                begun = buffer[position : position + HEADER_BYTES_MAX]
                if _begun(begun) is None:
                    raise BadInput(f"not the head of a RELP frame: {begun[:40]!r}")
                break
            length = int(match[3])
            if length > self._bytes_max:
                raise BadInput(f"a RELP frame of {length} bytes is over {self._bytes_max}")
            if match[4] == b"\n":
                # Without data the length is 0 and its blank is left out.
                start = end = match.end() - 1
            else:
                start = match.end()
                end = start + length
            if len(buffer) <= end:
                break
            if buffer[end : end + 1] != b"\n" or (start == end and length):
                raise BadInput(f"RELP frame {match[1].decode()} is not {length} bytes long")
            frames.append(Frame(int(match[1]), match[2].decode(), buffer[start:end]))
            position = end + 1
        self._rest = buffer[position:]
        return frames


def _answer(number: int, text: str) -> bytes:
    data = text.encode()
    return b"%d rsp %d %s\n" % (number, len(data), data)


def opened(number: int) -> bytes:
    """The answer to `open`: what we can."""
    return _answer(number, "200 OK\nrelp_version=0\nrelp_software=verdant\ncommands=syslog")


def accepted(number: int) -> bytes:
    """The answer to a message that is on disk."""
    return _answer(number, "200 OK")


def refused(number: int, why: str) -> bytes:
    """The answer to what will never be taken, in one short line."""
    return _answer(number, "500 " + why[:80].replace("\n", " "))


def goodbye(number: int) -> bytes:
    """The answer to `close`, and our own end."""
    return b"%d rsp 0\n0 serverclose 0\n" % number
