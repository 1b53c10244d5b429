"""Loki: its push API's two bodies as records.

Place     logs/inputs, pure.
Promise   all entries or `BadInput`. Labels become fields of each line, save those with a column:
          app (app, application, service_name, job), host (host, hostname, instance), level.
Source    https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs, and
          pkg/push/push.proto of https://github.com/grafana/loki for the message's numbers

    JSON       {"streams": [{"stream": {"app": "web"}, "values": [["NANOSECONDS", "line", {…}]]}]}
    protobuf   streams = 1 { labels = 1, entries = 2 { timestamp = 1, line = 2, metadata = 3 } }
"""

from __future__ import annotations

import re

import msgspec

from verdant.logs.errors import BadInput
from verdant.logs.inputs.protowire import fields_of
from verdant.logs.record import Record

__all__ = ["read_loki_json", "read_loki_protobuf"]

NS = 1_000_000_000

_APPS = ("app", "application", "service_name", "job")
_HOSTS = ("host", "hostname", "instance")
_LEVELS = ("level", "severity", "detected_level")


class _Stream(msgspec.Struct):
    stream: dict[str, str] = {}
    values: list[list[object]] = []


class _Push(msgspec.Struct):
    streams: list[_Stream]


_decode = msgspec.json.Decoder(_Push).decode
_label = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_.]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)', re.S).match
_escaped = re.compile(r"\\(.)", re.S).sub
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def read_loki_json(body: bytes, now_ns: int, app: str = "-") -> list[Record]:
    """The records in a JSON push. Raises `BadInput`."""
    try:
        push = _decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BadInput(f"not a push of Loki's ({exc})") from exc
    records = []
    for stream in push.streams:
        for value in stream.values:
            moment, line, *more = value if len(value) >= 2 else (None, None)
            if not isinstance(line, str) or not isinstance(moment, str | int):
                raise BadInput('an entry is not ["NANOSECONDS", "line"]')
            labels: dict[str, object] = dict(stream.stream)
            if more and isinstance(more[0], dict):
                labels.update(more[0])
            records.append(_record(_nanoseconds(moment, now_ns), labels, line, app))
    return records


def _nanoseconds(moment: str | int, now_ns: int) -> int:
    text = str(moment)
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise BadInput(f"{text[:40]!r} is not a time in nanoseconds since 1970")
    found = int(text)
    return found if 0 < found < 2**63 else now_ns


def read_loki_protobuf(body: bytes, now_ns: int, app: str = "-") -> list[Record]:
    """The records in a protobuf push, unpacked. Raises `BadInput`."""
    records = []
    for number, stream in fields_of(body):
        if number != 1:
            continue
        labels: dict[str, object] = {}
        for part, value in fields_of(_message(stream)):
            if part == 1:
                labels = dict(_read_labels(_text(value)))
            elif part == 2:
                records.append(_entry(_message(value), labels, now_ns, app))
    return records


def _entry(data: bytes, stream_labels: dict[str, object], now_ns: int, app: str) -> Record:
    time_ns, line, labels = now_ns, "", dict(stream_labels)
    for number, value in fields_of(data):
        if number == 1:
            parts = dict(fields_of(_message(value)))
            seconds, nanos = parts.get(1, 0), parts.get(2, 0)
            if isinstance(seconds, int) and isinstance(nanos, int):
                found = seconds * NS + nanos
                time_ns = found if 0 < found < 2**63 else now_ns
        elif number == 2:
            line = _text(value)
        elif number == 3:
            pair = {part: _text(found) for part, found in fields_of(_message(value))}
            labels[pair.get(1, "")] = pair.get(2, "")
    return _record(time_ns, labels, line, app)


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise BadInput("the protobuf message has a number where a message should be")
    return value


def _text(value: int | bytes) -> str:
    return _message(value).decode("utf-8", "backslashreplace")


def _read_labels(text: str) -> list[tuple[str, str]]:
    """Labels as Prometheus writes them: `{name="value", …}`."""
    if not (text.startswith("{") and text.endswith("}")):
        raise BadInput(f"labels are not in braces: {text[:40]!r}")
    inside, position, found = text[1:-1], 0, []
    while inside[position:].strip():
        match = _label(inside, position)
        if match is None:
            raise BadInput(f"labels go wrong at {inside[position : position + 40]!r}")
        value = _escaped(lambda escape: _ESCAPES.get(escape[1], escape[1]), match[2])
        found.append((match[1], value))
        position = match.end()
    return found


def _record(time_ns: int, labels: dict[str, object], line: str, app: str) -> Record:
    def take(names: tuple[str, ...], default: str) -> str:
        for name in names:
            if labels.get(name):
                return str(labels.pop(name))
        return default

    return Record(time_ns, take(_APPS, app), take(_HOSTS, "-"), take(_LEVELS, "INFO"), line, labels)
