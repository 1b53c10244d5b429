"""Record: one line of a log.

Place     logs, pure. Clients make records; servers keep their encoded lines.
Promise   of delivery: a line in an acknowledged batch is on a server's disk (after fdatasync). A
          batch that was sent again because its acknowledgement was lost is shown once, by its
          identity (client, epoch, seq). Lines that never fitted the spool are counted and told.
Not here  batches (codec.py), where lines wait (client/spool.py).

On the wire and in the write-ahead log a record is a JSON line with fixed names; what the program
adds goes into `fields`, itself JSON text, so that the columns of the store never change:

    {"t":1764000000000000000,"app":"web","host":"a1","level":"INFO","msg":"hi","fields":"{...}"}
"""

from __future__ import annotations

import msgspec

__all__ = ["LEVELS", "Record", "encode_line", "level_number"]

# Longer messages are cut: a line is something that a person reads.
MESSAGE_CHARS_MAX = 256 * 1024
FIELDS_BYTES_MAX = 256 * 1024

# What the store's column holds, some 292 years to both sides of 1970.
TIME_NS_MIN, TIME_NS_MAX = -(2**63), 2**63 - 1

# stdlib logging's numbers, and syslog's other words for them.
LEVELS = {
    "TRACE": 5,
    "DEBUG": 10,
    "INFO": 20,
    "NOTICE": 25,
    "WARN": 30,
    "WARNING": 30,
    "ERR": 40,
    "ERROR": 40,
    "CRITICAL": 50,
    "FATAL": 50,
    "ALERT": 60,
    "EMERG": 70,
}


class Record(msgspec.Struct, frozen=True):
    """One line. `time_ns`: nanoseconds since 1970, UTC; `fields`: whatever JSON can carry."""

    time_ns: int
    app: str
    host: str
    level: str
    message: str
    fields: dict[str, object] = {}


class _Line(msgspec.Struct):
    t: int
    app: str
    host: str
    level: str
    msg: str
    fields: str


_encode = msgspec.json.Encoder(enc_hook=str).encode


def level_number(level: str) -> int:
    """The severity of a level's name; 20 (INFO) for a name that nobody knows."""
    return LEVELS.get(level.upper(), 20)


def encode_line(record: Record) -> bytes:
    """The record as a JSON line, its newline included. Over-long parts are cut and marked.

    What it returns is a line that the store takes, whatever the record says.
    """
    message = record.message
    if len(message) > MESSAGE_CHARS_MAX:
        cut = len(message) - MESSAGE_CHARS_MAX
        message = f"{message[:MESSAGE_CHARS_MAX]}… [{cut} characters cut]"
    fields = _encode(record.fields) if record.fields else b"{}"
    if len(fields) > FIELDS_BYTES_MAX:
        fields = _encode({"fields_cut_bytes": len(fields)})
    # A moment beyond the column would have the store refuse the whole batch.
    time_ns = min(max(record.time_ns, TIME_NS_MIN), TIME_NS_MAX)
    line = _Line(time_ns, record.app, record.host, record.level.upper(), message, fields.decode())
    # A lone surrogate (an undecodable byte in some name) has no UTF-8: shown, not refused.
    try:
        return _encode(line) + b"\n"
    except UnicodeEncodeError:
        clean = message.encode("utf-8", "backslashreplace").decode()
        return _encode(msgspec.structs.replace(line, msg=clean)) + b"\n"
