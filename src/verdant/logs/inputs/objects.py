"""Objects: a JSON object that somebody calls a log line, as a record.

Place     logs/inputs, pure; JSON lines and Elasticsearch's documents are read here.
Promise   every object becomes a record; what has no column of its own stays in its fields.

    time       @timestamp  timestamp  time  ts  _time
    app        app  program  application  service  service.name
    host       host  hostname  host.name        (an object's `name`)
    level      level  severity  log.level
    message    message  msg  _msg  log  short_message
"""

from __future__ import annotations

from datetime import UTC, datetime

from verdant.logs.record import Record

__all__ = ["moment_ns", "record_of_object"]

NS = 1_000_000_000

_TIMES = ("@timestamp", "timestamp", "time", "ts", "_time")
_APPS = ("app", "program", "application", "service", "service.name")
_HOSTS = ("host", "hostname", "host.name")
_LEVELS = ("level", "severity", "log.level")
_MESSAGES = ("message", "msg", "_msg", "log", "short_message")

# Seconds of the year 5138; larger numbers are milliseconds, then micro- and nanoseconds.
_SECONDS_BELOW = 1e11


def record_of_object(found: dict[str, object], now_ns: int, app: str = "-") -> Record:
    """The record in `found`; `now_ns` and `app` stand in for what it does not say."""
    fields = dict(found)

    def take(names: tuple[str, ...]) -> object:
        for name in names:
            if name in fields:
                value = fields[name]
                if isinstance(value, dict):
                    # As the Elastic Common Schema nests them: {"host": {"name": ...}}.
                    value = value.get("name")
                if value is not None and value != "":
                    del fields[name]
                    return value
        return None

    time_ns = None
    moment = next((name for name in _TIMES if name in fields), None)
    if moment is not None:
        time_ns = moment_ns(fields[moment])
        if time_ns is not None:
            del fields[moment]
    app_found, host, level, message = take(_APPS), take(_HOSTS), take(_LEVELS), take(_MESSAGES)
    return Record(
        now_ns if time_ns is None else time_ns,
        app if app_found is None else str(app_found),
        "-" if host is None else str(host),
        "INFO" if level is None else str(level),
        "" if message is None else str(message),
        fields,
    )


def moment_ns(value: object) -> int | None:
    """Nanoseconds since 1970 of a number of seconds, ms, µs or ns, or of a text; None for others.

    A text is a number or as ISO 8601 has it; without a zone it is UTC, as it is for Elasticsearch.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _text_ns(value)
    if not isinstance(value, int | float) or not 0 <= value < 2**63:
        return None
    if value >= _SECONDS_BELOW:
        for power in (6, 3, 0):
            if value < _SECONDS_BELOW * 10 ** (9 - power):
                return _scaled(value, 10**power)
        return None
    return _scaled(value, NS)


def _scaled(value: float, factor: int) -> int | None:
    if isinstance(value, int):
        nanoseconds = value * factor
    else:
        whole = int(value)
        nanoseconds = whole * factor + int((value - whole) * factor)
    return nanoseconds if nanoseconds < 2**63 else None


def _text_ns(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return moment_ns(int(text)) if len(text) <= 19 else None
    # Nine digits behind the point are usual, and more than datetime keeps.
    head, point, tail = text.partition(".")
    digits = ""
    if point:
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        tail = tail[len(digits) :]
    if len(head) < len("2026-11-25") or (point and not digits):
        return None
    try:
        moment = datetime.fromisoformat(head + tail)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError, OSError):
        return None
    nanoseconds = seconds * NS + int(digits[:9].ljust(9, "0"))
    return nanoseconds if 0 <= nanoseconds < 2**63 else None
