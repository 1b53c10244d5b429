"""Envelope: what stands around a call on the wire, so that answers find their question.

Place     zmq, pure; service.py and connection.py go by it.
Promise   any REQ client is understood, and any REP server understands: all that is added travels
          in front of the empty frame, which REP, ROUTER and DEALER give back as they got it (RFC 28
          of ZeroMQ, "Request-Reply"). What is not an envelope is told apart, never guessed at.
Not here  sockets; what a body means (form.py).

    [ peer ] [ hop … ]  [ tag ]  [ empty ]  [ body … ]
      ROUTER's   a broker's  ours     REQ's       the call's own

    tag   00 'V' 'Z' 01   kind (1 byte)   number (8 bytes, big-endian)

A client puts the tag there with kind CALL and a number that it never uses again. A plain REP gives
it back unchanged; a service gives it back with the kind of its answer. So an error is never taken
for an answer, whatever bytes an answer has, and an answer that comes late is known by its number.
Without a tag (a plain REQ) there is no such place: there an error is a body of three frames that
starts with ERROR_MARK.

The rejected way is a header in the body, as most RPC libraries have it: then no plain REQ or REP
could take part.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "ANSWER",
    "CALL",
    "ERROR",
    "ERROR_MARK",
    "NOT_BEGUN",
    "PING",
    "PONG",
    "STOPPING",
    "TAG_BYTES",
    "Tag",
    "answer_parts",
    "error_parts",
    "kind_of",
    "make_tag",
    "numbers",
    "read_tag",
    "retagged",
    "split",
]

_MAGIC = b"\0VZ\x01"
_KIND_AT = len(_MAGIC)
TAG_BYTES = _KIND_AT + 1 + 8

CALL = b"Q"
ANSWER = b"A"
# The body is a code and a text.
ERROR = b"E"
# As ERROR, and the handler has not begun: the call may safely go to another server.
NOT_BEGUN = b"N"
PING = b"P"
PONG = b"O"

# The code of NOT_BEGUN, and of an ERROR whose handler was cut off.
STOPPING = "zmq-stopping"

ERROR_MARK = b"\0verdant-error"

# An error's text is for people: a longer one is cut.
ERROR_TEXT_BYTES_MAX = 4096

_NUMBERS = 1 << 64


class Tag(NamedTuple):
    """What a tag says."""

    kind: bytes
    number: bytes


def numbers(start: int) -> Iterator[bytes]:
    """Numbers for calls, each once, from `start` on (choose it at random, so that a client that
    took over another's place does not repeat its numbers)."""
    return ((start + step & _NUMBERS - 1).to_bytes(8, "big") for step in count())


def make_tag(kind: bytes, number: bytes) -> bytes:
    """The frame for a call's `kind` and `number`."""
    return _MAGIC + kind + number


def kind_of(frame: bytes) -> bytes | None:
    """The kind that a tag has, or None: not a tag."""
    if len(frame) == TAG_BYTES and frame.startswith(_MAGIC):
        return frame[_KIND_AT : _KIND_AT + 1]
    return None


def read_tag(frame: bytes) -> Tag | None:
    """What a tag says, or None: not a tag."""
    kind = kind_of(frame)
    return None if kind is None else Tag(kind, frame[_KIND_AT + 1 :])


def split(parts: Sequence[bytes]) -> int:
    """Where the empty frame stands that ends the envelope; -1: there is none."""
    # Not `index`, which would raise for every message of a client that does not know the rule.
    for place, part in enumerate(parts):
        if not part:
            return place
    return -1


def retagged(envelope: Sequence[bytes], kind: bytes) -> list[bytes]:
    """The envelope to send back: its tag, if there is one, says `kind`."""
    reply = list(envelope)
    if reply and kind_of(reply[-1]) is not None:
        reply[-1] = _MAGIC + kind + reply[-1][_KIND_AT + 1 :]
    return reply


def answer_parts(envelope: Sequence[bytes], body: Sequence[bytes]) -> list[bytes]:
    """The message that answers the call with this envelope (without its empty frame)."""
    reply = retagged(envelope, ANSWER)
    reply.append(b"")
    reply += body
    return reply


def error_parts(envelope: Sequence[bytes], kind: bytes, code: str, text: str) -> list[bytes]:
    """The message that answers with an error. `kind`: ERROR or NOT_BEGUN."""
    reply = retagged(envelope, kind)
    reply.append(b"")
    if not envelope or kind_of(envelope[-1]) is None:
        reply.append(ERROR_MARK)
    # "replace": half of a character at the cut, or a lone surrogate in somebody's text.
    cut = text.encode("utf-8", "replace")[:ERROR_TEXT_BYTES_MAX].decode("utf-8", "ignore")
    reply += [code.encode("ascii", "replace"), cut.encode()]
    return reply
