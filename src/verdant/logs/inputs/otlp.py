"""OTLP: OpenTelemetry's export of log records, protobuf and JSON, as records.

Place     logs/inputs, pure.
Promise   all records or `BadInput`. The resource's attributes are fields of each of its lines,
          save `service.name` (app) and `host.name` (host).
Source    https://opentelemetry.io/docs/specs/otlp/, https://opentelemetry.io/docs/specs/otel/logs/

JSON is not protobuf's own: trace and span ids are hex, 64-bit numbers may be texts (OTLP, "JSON
Protobuf Encoding"). So it is read by types of our own, and not by protobuf's `json_format`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from verdant.logs.errors import BadInput
from verdant.logs.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

__all__ = ["read_otlp_json", "read_otlp_protobuf"]

# The logs data model, "Field: SeverityNumber": four numbers to a name.
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# Values within values; beyond it somebody means harm.
DEPTH_MAX = 32


def read_otlp_protobuf(body: bytes, now_ns: int, app: str = "-") -> list[Record]:
    """The records in an export request. Raises `BadInput`."""
    request = ExportLogsServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as exc:
        raise BadInput(f"not an export request of OTLP's ({exc})") from exc
    records = []
    for resource in request.resource_logs:
        shared = _attributes(resource.resource.attributes)
        for scope in resource.scope_logs:
            for entry in scope.log_records:
                fields = shared | _attributes(entry.attributes)
                records.append(
                    _record(
                        entry.time_unix_nano or entry.observed_time_unix_nano or now_ns,
                        entry.severity_number,
                        entry.severity_text,
                        _plain(entry.body),
                        fields,
                        scope.scope.name,
                        entry.trace_id.hex(),
                        entry.span_id.hex(),
                        app,
                    )
                )
    return records


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue, depth: int = 0) -> object:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if depth >= DEPTH_MAX:
        raise BadInput(f"values are nested more than {DEPTH_MAX} deep")
    if kind == "array_value":
        return [_plain(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value, depth + 1) for pair in value.kvlist_value.values}
    found = getattr(value, kind)
    return found.hex() if isinstance(found, bytes) else found


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: str | int | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None


class _Values(msgspec.Struct):
    values: list[_Value] = []


class _Pair(msgspec.Struct):
    key: str = ""
    value: _Value | None = None


class _Pairs(msgspec.Struct):
    values: list[_Pair] = []


class _Entry(msgspec.Struct, rename="camel"):
    time_unix_nano: str | int = 0
    observed_time_unix_nano: str | int = 0
    severity_number: int | str = 0
    severity_text: str = ""
    body: _Value | None = None
    attributes: list[_Pair] = []
    trace_id: str = ""
    span_id: str = ""


class _Scope(msgspec.Struct):
    name: str = ""


class _ScopeLogs(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    log_records: list[_Entry] = []


class _Resource(msgspec.Struct):
    attributes: list[_Pair] = []


class _ResourceLogs(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] = []


class _Export(msgspec.Struct, rename="camel"):
    resource_logs: list[_ResourceLogs] = []


_decode = msgspec.json.Decoder(_Export).decode


def read_otlp_json(body: bytes, now_ns: int, app: str = "-") -> list[Record]:
    """The records in an export request as JSON. Raises `BadInput`."""
    try:
        export = _decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BadInput(f"not an export request of OTLP's ({exc})") from exc
    records = []
    for resource in export.resource_logs:
        shared = _pairs(resource.resource.attributes) if resource.resource else {}
        for scope in resource.scope_logs:
            for entry in scope.log_records:
                number = entry.severity_number
                records.append(
                    _record(
                        _number(entry.time_unix_nano)
                        or _number(entry.observed_time_unix_nano)
                        or now_ns,
                        number if isinstance(number, int) else 0,
                        entry.severity_text,
                        _json_plain(entry.body),
                        shared | _pairs(entry.attributes),
                        scope.scope.name if scope.scope else "",
                        entry.trace_id,
                        entry.span_id,
                        app,
                    )
                )
    return records


def _pairs(pairs: list[_Pair]) -> dict[str, object]:
    return {pair.key: _json_plain(pair.value) for pair in pairs}


def _json_plain(value: _Value | None) -> object:
    if value is None:
        return None
    if value.array_value is not None:
        return [_json_plain(item) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return _pairs(value.kvlist_value.values)
    if value.int_value is not None:
        return _number(value.int_value)
    found: tuple[object, ...] = (
        value.string_value, value.bool_value, value.double_value, value.bytes_value,
    )  # fmt: skip
    return next((item for item in found if item is not None), None)


def _number(value: str | int) -> int:
    if isinstance(value, int):
        return value
    if not (value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 20):
        raise BadInput(f"{value[:40]!r} is not a number")
    return int(value)


def _record(
    time_ns: int,
    severity: int,
    severity_text: str,
    body: object,
    fields: dict[str, object],
    scope: str,
    trace_id: str,
    span_id: str,
    app: str,
) -> Record:
    service, host = fields.pop("service.name", None), fields.pop("host.name", None)
    named = {"logger": scope, "trace_id": trace_id, "span_id": span_id}
    fields.update({name: value for name, value in named.items() if value})
    level = severity_text or "INFO"
    if 0 < severity <= 4 * len(_LEVELS):
        level = _LEVELS[(severity - 1) // 4]
    if not 0 <= time_ns < 2**63:
        raise BadInput(f"{time_ns} is not a time in nanoseconds since 1970")
    message = body if isinstance(body, str) else ""
    if body is not None and not isinstance(body, str):
        message = msgspec.json.encode(body).decode()
    return Record(
        time_ns,
        str(service) if service else app,
        str(host) if host else "-",
        level,
        message,
        fields,
    )
