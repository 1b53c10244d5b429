"""Containers: the lines that container runtimes write around a program's own.

Place     logs/client, pure.
Promise   a line that is not as the runtime writes it is taken as plain text, never lost. A line
          that the runtime broke in two is told as partial.
Source    https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
          https://docs.docker.com/engine/logging/drivers/json-file/

    cri      2016-10-06T00:17:09.669794202Z stdout P the beginning …      P: partial, F: full
    docker   {"log":"text\n","stream":"stdout","time":"…"}                partial without the \n
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from verdant.logs.client.multiline import Line

__all__ = ["FORMATS", "read_line"]

FORMATS = ("plain", "cri", "docker")
NS = 1_000_000_000

_TIME = r"([0-9-]{10}T[0-9:]{8})(?:\.([0-9]{1,9}))?(Z|[+-][0-9:]{5})"
_cri = re.compile(_TIME + r" (stdout|stderr) ([PF])[^ ]*(?: |$)", re.ASCII).match
_moment = re.compile(_TIME, re.ASCII).fullmatch


class _Docker(msgspec.Struct):
    log: str
    stream: str = ""
    time: str = ""


_decode = msgspec.json.Decoder(_Docker).decode


def read_line(kind: str, raw: bytes, start: int, end: int) -> Line:
    """The line `raw` (without its end), at bytes `start` to `end` of a file of `kind`."""
    if kind == "docker":
        try:
            found = _decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return _plain(raw, start, end)
        match = _moment(found.time)
        text = found.log.rstrip("\r\n")
        partial = not found.log.endswith("\n")
        return Line(start, end, text, found.stream, _ns(match) if match else None, partial)
    if kind == "cri":
        text = raw.decode("utf-8", "backslashreplace")
        match = _cri(text)
        if match is not None:
            return Line(start, end, text[match.end() :], match[4], _ns(match), match[5] == "P")
    return _plain(raw, start, end)


def _plain(raw: bytes, start: int, end: int) -> Line:
    return Line(start, end, raw.rstrip(b"\r").decode("utf-8", "backslashreplace"))


def _ns(match: re.Match[str]) -> int | None:
    try:
        seconds = int(datetime.fromisoformat(match[1] + match[3]).timestamp())
    except (ValueError, OverflowError, OSError):
        return None
    return seconds * NS + int((match[2] or "").ljust(9, "0"))
