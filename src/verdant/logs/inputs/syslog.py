"""Syslog: one message of RFC 5424 or RFC 3164 as a record.

Place     logs/inputs, pure: the present and the sender are arguments.
Promise   every message becomes a record; what follows neither RFC is kept whole as its text, and
          reported as malformed. No input raises.
Not here  where a message ends on a stream (framing.py), sockets (streams.py, datagrams.py).

    <34>1 2003-10-11T22:14:15.003Z host su 123 ID47 [a@1 k="v"] text     RFC 5424
    <34>Oct 11 22:14:15 host su[123]: text                               RFC 3164, by habit

RFC 3164 tells what was found in the field, so more is read here than it lists: no host, a time as
RFC 3339 writes it, a year behind the month's day, no time at all.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from verdant.logs.record import TIME_NS_MAX, Record

__all__ = ["SEVERITIES", "Parsed", "parse_syslog"]

NS = 1_000_000_000

# RFC 5424, section 6.2.1.
SEVERITIES = ("EMERG", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "security", "console", "solaris-cron", "local0", "local1", "local2", "local3",
    "local4", "local5", "local6", "local7",
)  # fmt: skip
PRIORITY_MAX = 191
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_priority = re.compile(r"<(0|[1-9][0-9]{0,2})>", re.ASCII).match
# The header's six fields; the time's syntax is checked apart, so that a bad one costs itself only.
_header_5424 = re.compile(r"1 (\S+) (\S+) (\S+) (\S+) (\S+) ?", re.ASCII).match
_time_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
).match
_time_3164 = re.compile(
    r"([A-Z][a-z]{2}) ([ 0-9][0-9]) (?:([0-9]{4}) )?"
    r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?",
    re.ASCII,
).match
_tag = re.compile(r"([^\s:\[\]]{1,256})(?:\[([^\]\s]{0,128})\])?:(?: |$)", re.ASCII).match
_element = re.compile(r'\[([^\s=\]"]{1,64})', re.ASCII).match
_parameter = re.compile(r' ([^\s=\]"]{1,64})="((?:[^"\\\]]|\\.)*)"', re.ASCII | re.DOTALL).match
_escaped = re.compile(r'\\(["\\\]])').sub


class Parsed(NamedTuple):
    """A record, and whether the message followed its RFC."""

    record: Record
    well_formed: bool


def parse_syslog(message: bytes, now_ns: int, sender: str = "-", app: str = "-") -> Parsed:
    """The record in `message`. `sender`, `app`: what it is given when it names no host, no app."""
    text = message.rstrip(b"\r\n\0").decode("utf-8", "backslashreplace")
    match = _priority(text)
    priority = int(match[1]) if match else PRIORITY_MAX + 1
    if match is None or priority > PRIORITY_MAX:
        return Parsed(Record(now_ns, app, sender, "INFO", text), False)
    level = SEVERITIES[priority & 7]
    fields: dict[str, object] = {"facility": _FACILITIES[priority >> 3]}
    rest = text[match.end() :]
    head = _header_5424(rest)
    if head is not None:
        return _modern(head, rest[head.end() :], Record(now_ns, app, sender, level, "", fields))
    return _old(rest, Record(now_ns, app, sender, level, "", fields))


def _modern(head: re.Match[str], rest: str, base: Record) -> Parsed:
    """RFC 5424's part behind `<PRI>`; `base` has what stands in for a dash."""
    moment, host, app, process, message_id = head.groups()
    well_formed = True
    time_ns = base.time_ns
    if moment != "-":
        found = _read_3339(moment)
        if found is None:
            well_formed = False
            base.fields["timestamp"] = moment
        else:
            time_ns = found
    if process != "-":
        base.fields["procid"] = process
    if message_id != "-":
        base.fields["msgid"] = message_id
    if rest.startswith("["):
        end = _structured(rest, base.fields)
        # An element that breaks off stays in the text, where somebody can see it.
        well_formed = well_formed and end > 0
        rest = rest[end:]
    elif rest.startswith("-"):
        rest = rest[1:]
    else:
        well_formed = False
    text = rest.removeprefix(" ").removeprefix("\ufeff")
    record = Record(
        time_ns,
        base.app if app == "-" else app,
        base.host if host == "-" else host,
        base.level,
        text,
        base.fields,
    )
    return Parsed(record, well_formed)


def _structured(text: str, fields: dict[str, object]) -> int:
    """Read `[id name="value"…]…` into `fields` as `id.name`; where it ends, 0 when it does not."""
    found: dict[str, object] = {}
    position = 0
    while element := _element(text, position):
        position = element.end()
        empty = True
        while parameter := _parameter(text, position):
            found[f"{element[1]}.{parameter[1]}"] = _escaped(r"\1", parameter[2])
            position = parameter.end()
            empty = False
        if empty:
            found[element[1]] = ""
        if not text.startswith("]", position):
            return 0
        position += 1
    fields.update(found)
    return position


def _old(rest: str, base: Record) -> Parsed:
    """RFC 3164's part behind `<PRI>`."""
    time_ns, well_formed = base.time_ns, False
    match = _time_3164(rest)
    found = _read_3164(match, base.time_ns) if match else None
    if found is None:
        match = _time_3339(rest)
        found = _read_3339(match[0]) if match else None
    if match is not None and found is not None:
        time_ns, well_formed = found, True
        rest = rest[match.end() :].removeprefix(" ")
    host = base.host
    tag = _tag(rest)
    if tag is None and well_formed:
        # A host in front of the tag; without a time nobody writes one.
        first, _, behind = rest.partition(" ")
        if first and not first.endswith(":"):
            host, rest = first, behind
            tag = _tag(rest)
    app = base.app
    if tag is not None:
        app = tag[1]
        if tag[2]:
            base.fields["procid"] = tag[2]
        rest = rest[tag.end() :]
    record = Record(time_ns, app, host, base.level, rest, base.fields)
    return Parsed(record, well_formed)


def _read_3339(text: str) -> int | None:
    match = _time_3339(text)
    if match is None or match.end() != len(text):
        return None
    zone = match[3] or ""
    try:
        # Whole seconds only: as a float the fraction would lose its last digits.
        seconds = int(datetime.fromisoformat(match[1] + zone).timestamp())
    except (ValueError, OverflowError, OSError):
        return None
    return _bounded(seconds * NS + int((match[2] or "0").ljust(9, "0")))


def _bounded(time_ns: int) -> int | None:
    # The year 9999 is a mistake of some clock, and beyond what the store can say.
    return time_ns if 0 <= time_ns <= TIME_NS_MAX else None


def _read_3164(match: re.Match[str], now_ns: int) -> int | None:
    """The moment, in this machine's zone: no other is known. The year that fits best."""
    month, day, year, hour, minute, second, fraction = match.groups()
    now = datetime.fromtimestamp(now_ns // NS)
    try:
        moment = datetime(
            int(year) if year else now.year,
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
        )
        if not year and moment > now + timedelta(days=1):
            # December's lines that are read in January.
            moment = moment.replace(year=moment.year - 1)
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError, OSError):
        return None
    return _bounded(seconds * NS + int((fraction or "0").ljust(9, "0")))
