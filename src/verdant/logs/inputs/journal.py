"""Journal: systemd's export format as records.

Place     logs/inputs, pure: bytes in, records out.
Promise   however the bytes are cut, the same records come out. What is not the format, or an entry
          over the limit, raises `BadInput`.
Source    https://systemd.io/JOURNAL_EXPORT_FORMATS/

    __CURSOR=s=…\n__REALTIME_TIMESTAMP=1764…\nMESSAGE=text\nPRIORITY=6\n\n
    NAME\n · length 8 (little endian) · bytes · \n       a value with line breaks or odd bytes
"""

from __future__ import annotations

import re

from verdant.logs.errors import BadInput
from verdant.logs.inputs.syslog import SEVERITIES
from verdant.logs.record import TIME_NS_MAX, Record

__all__ = ["JournalParser"]

_LENGTH_BYTES = 8
_name = re.compile(rb"[A-Z_][A-Z0-9_]{0,255}", re.ASCII).fullmatch

# About the journal that kept the entry, of no use to anybody else.
_LEFT_OUT = frozenset({"__MONOTONIC_TIMESTAMP", "__SEQNUM_ID", "_SOURCE_REALTIME_TIMESTAMP"})


class JournalParser:
    """Records of entries of at most `bytes_max` bytes each. `app`: of those that name none."""

    def __init__(self, bytes_max: int, now_ns: int, app: str = "-") -> None:
        self._bytes_max = bytes_max
        self._now_ns = now_ns
        self._app = app
        self._rest = b""
        self._entry: dict[str, object] = {}
        self._entry_bytes = 0

    def feed(self, data: bytes) -> list[Record]:
        """The records that are whole with `data`. Raises `BadInput`."""
        buffer = self._rest + data
        records = []
        position = 0
        while True:
            end = buffer.find(b"\n", position)
            if end < 0:
                break
            line = buffer[position:end]
            if not line:
                position = end + 1
                if self._entry:
                    records.append(self._finish())
                continue
            name, equals, value = line.partition(b"=")
            if not equals:
                start = end + 1 + _LENGTH_BYTES
                length = int.from_bytes(buffer[end + 1 : start], "little")
                if len(buffer) >= start and length > self._bytes_max:
                    raise BadInput(f"a journal entry is over {self._bytes_max} bytes")
                if len(buffer) < start or len(buffer) <= start + length:
                    break
                end = start + length
                if buffer[end : end + 1] != b"\n":
                    raise BadInput(f"the journal field {name[:40]!r} has no end where it should")
                value = buffer[start:end]
            self._add(name, value)
            position = end + 1
        self._rest = buffer[position:]
        if len(self._rest) > self._bytes_max + 1024:
            raise BadInput(f"a journal entry is over {self._bytes_max} bytes")
        return records

    def finish(self) -> list[Record]:
        """The last entry, whose empty line a sender may leave out. Raises `BadInput`."""
        if self._rest:
            raise BadInput("the journal breaks off within an entry")
        return [self._finish()] if self._entry else []

    def _add(self, name: bytes, value: bytes) -> None:
        if _name(name) is None:
            raise BadInput(f"not the name of a journal field: {name[:40]!r}")
        self._entry_bytes += len(name) + len(value)
        if self._entry_bytes > self._bytes_max:
            raise BadInput(f"a journal entry is over {self._bytes_max} bytes")
        self._entry[name.decode()] = value.decode("utf-8", "backslashreplace")

    def _finish(self) -> Record:
        entry, self._entry, self._entry_bytes = self._entry, {}, 0
        moment = str(entry.pop("__REALTIME_TIMESTAMP", ""))
        time_ns = self._now_ns
        if moment.isascii() and moment.isdigit() and len(moment) <= 16:
            time_ns = min(int(moment) * 1000, TIME_NS_MAX)
        priority = str(entry.pop("PRIORITY", "6"))
        level = SEVERITIES[int(priority)] if priority in "01234567" and priority else "INFO"
        app = self._app
        for name in ("SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_COMM"):
            if entry.get(name):
                app = str(entry.pop(name))
                break
        host = str(entry.pop("_HOSTNAME", "-"))
        message = str(entry.pop("MESSAGE", ""))
        fields = {name: value for name, value in entry.items() if name not in _LEFT_OUT}
        return Record(time_ns, app, host, level, message, fields)
