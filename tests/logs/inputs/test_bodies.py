"""What comes over HTTP and as GELF: documented examples, packing, limits, and anything at all."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import zlib
from typing import TYPE_CHECKING, Any

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from verdant.logs.errors import BadInput
from verdant.logs.inputs.bodies import BodyTooLarge, unpack_body, unpack_snappy
from verdant.logs.inputs.elastic import bulk_answer, read_bulk
from verdant.logs.inputs.gelf import CHUNK_MARK, Chunks, parse_gelf, unpack_gelf
from verdant.logs.inputs.journal import JournalParser
from verdant.logs.inputs.jsonlines import read_json_lines
from verdant.logs.inputs.loki import read_loki_json, read_loki_protobuf
from verdant.logs.inputs.objects import moment_ns
from verdant.logs.inputs.otlp import read_otlp_json, read_otlp_protobuf
from verdant.logs.inputs.protowire import bytes_field, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.logs import Record

NOW = 1_764_000_000_000_000_000
ZSTD = zstandard.ZstdCompressor().compress


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1764000000, NOW),
        (1764000000.25, NOW + 250_000_000),
        (1764000000123, NOW + 123_000_000),
        (1764000000123456, NOW + 123_456_000),
        (NOW + 1, NOW + 1),
        (str(NOW + 1), NOW + 1),
        ("2025-11-24T16:00:00Z", NOW),
        ("2025-11-24T16:00:00.000000001Z", NOW + 1),
        ("2025-11-24T17:00:00.5+01:00", NOW + 500_000_000),
        ("2025-11-24 16:00:00", NOW),
        ("yesterday", None),
        ("2025-11-24T16:00:00.Z", None),
        ("", None),
        (None, None),
        (True, None),
        (-1, None),
        (2**70, None),
        (float("nan"), None),
        (float("inf"), None),
        ([1], None),
    ],
)
def test_moments(value: object, expected: int | None) -> None:
    assert moment_ns(value) == expected


@given(st.one_of(st.integers(), st.floats(), st.text(max_size=40)))
def test_any_moment_is_a_time_or_none(value: object) -> None:
    found = moment_ns(value)
    assert found is None or 0 <= found < 2**63


def test_json_lines_know_the_usual_names() -> None:
    records = read_json_lines(
        b'{"app":"a","host":{"name":"h"},"level":"warn","msg":"m","ts":1764000000,"n":1}\n\n'
        b'{"service":"s","message":"x","time":"never"}',
        NOW,
        "default",
    )
    assert [(r.app, r.host, r.level, r.message, r.time_ns, r.fields) for r in records] == [
        ("a", "h", "warn", "m", NOW, {"n": 1}),
        ("s", "-", "INFO", "x", NOW, {"time": "never"}),
    ]
    with pytest.raises(BadInput, match="line 2"):
        read_json_lines(b"{}\n[]", NOW)


PUSH = {
    "streams": [
        {
            "stream": {"job": "web", "hostname": "h", "zone": "z"},
            "values": [[str(NOW), "one"], [str(NOW + 1), "two", {"trace": "t"}]],
        }
    ]
}


def loki_protobuf() -> bytes:
    def varint(number: int, value: int) -> bytes:
        data = bytearray([number << 3])
        while value >= 0x80:
            data.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*data, value])

    def entry(nanos: int, line: bytes, more: bytes = b"") -> bytes:
        moment = varint(1, NOW // 10**9) + varint(2, nanos)
        return bytes_field(2, bytes_field(1, moment) + bytes_field(2, line) + more)

    trace = bytes_field(3, bytes_field(1, b"trace") + bytes_field(2, b"t"))
    labels = bytes_field(1, b'{job="web", hostname="h", zone="z"}')
    stream = labels + entry(0, b"one") + entry(1, b"two", trace) + varint(3, 2**63)
    return bytes_field(1, stream)


def test_loki_json_and_protobuf_say_the_same() -> None:
    by_json = read_loki_json(json.dumps(PUSH).encode(), 1)
    assert read_loki_protobuf(loki_protobuf(), 1) == by_json
    assert [(r.time_ns, r.app, r.host, r.message) for r in by_json] == [
        (NOW, "web", "h", "one"),
        (NOW + 1, "web", "h", "two"),
    ]
    assert [r.fields for r in by_json] == [{"zone": "z"}, {"zone": "z", "trace": "t"}]


@pytest.mark.parametrize("labels", [b"", b"{", b"{a=b}", b'{a="b" c="d"}', b'{="b"}', b'{a="b\\"}'])
def test_labels_that_are_none(labels: bytes) -> None:
    with pytest.raises(BadInput):
        read_loki_protobuf(bytes_field(1, bytes_field(1, labels)), NOW)


def otlp() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    for key, value in (("service.name", "web"), ("host.name", "h"), ("zone", "z")):
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_logs.add()
    scope.scope.name = "till"
    entry = scope.log_records.add(
        time_unix_nano=NOW + 1, severity_number=18, trace_id=bytes(range(16)), span_id=b"12345678"
    )
    entry.body.string_value = "one"
    entry.attributes.add(key="n").value.int_value = -7
    inner = entry.attributes.add(key="list").value.array_value.values.add()
    inner.kvlist_value.values.add(key="k").value.bool_value = True
    scope.log_records.add(observed_time_unix_nano=NOW, severity_text="Odd").body.double_value = 0.5
    return request


OTLP_JSON: dict[str, Any] = {
    "resourceLogs": [
        {
            "resource": {
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": "web"}},
                    {"key": "host.name", "value": {"stringValue": "h"}},
                    {"key": "zone", "value": {"stringValue": "z"}},
                ]
            },
            "scopeLogs": [
                {
                    "scope": {"name": "till"},
                    "logRecords": [
                        {
                            "timeUnixNano": str(NOW + 1),
                            "severityNumber": 18,
                            "traceId": bytes(range(16)).hex(),
                            "spanId": b"12345678".hex(),
                            "body": {"stringValue": "one"},
                            "attributes": [
                                {"key": "n", "value": {"intValue": "-7"}},
                                {
                                    "key": "list",
                                    "value": {
                                        "arrayValue": {
                                            "values": [
                                                {
                                                    "kvlistValue": {
                                                        "values": [
                                                            {
                                                                "key": "k",
                                                                "value": {"boolValue": True},
                                                            }
                                                        ]
                                                    }
                                                }
                                            ]
                                        }
                                    },
                                },
                            ],
                        },
                        {
                            "observedTimeUnixNano": NOW,
                            "severityText": "Odd",
                            "body": {"doubleValue": 0.5},
                        },
                    ],
                }
            ],
        }
    ]
}


def test_otlp_json_and_protobuf_say_the_same() -> None:
    by_protobuf = read_otlp_protobuf(otlp().SerializeToString(), 1)
    assert read_otlp_json(json.dumps(OTLP_JSON).encode(), 1) == by_protobuf
    first, second = by_protobuf
    assert (first.time_ns, first.app, first.host, first.level) == (NOW + 1, "web", "h", "ERROR")
    assert first.fields == {
        "zone": "z",
        "n": -7,
        "list": [{"k": True}],
        "logger": "till",
        "trace_id": bytes(range(16)).hex(),
        "span_id": b"12345678".hex(),
    }
    assert (second.time_ns, second.level, second.message) == (NOW, "Odd", "0.5")


def test_bulk_keeps_documents_and_refuses_the_rest_one_by_one() -> None:
    body = (
        b'{"index":{"_index":"web","_id":"7"}}\n{"message":"one","app":"own"}\n'
        b'{"create":{}}\n{"message":"two"}\n'
        b'{"delete":{"_id":"1"}}\n'
        b'{"update":{"_id":"1"}}\n{"doc":{}}\n'
        b'{"index":{}}\nnot json\n'
    )
    bulk = read_bulk(body, NOW, "default", "path")
    assert [(r.app, r.message) for r in bulk.records] == [("own", "one"), ("path", "two")]
    answer: Any = bulk_answer(bulk.items, "made")
    assert answer["errors"] is True
    kinds = [(kind, item["status"]) for each in answer["items"] for kind, item in each.items()]
    assert kinds == [
        ("index", 201), ("create", 201), ("delete", 400), ("update", 400), ("index", 400),
    ]  # fmt: skip
    assert answer["items"][0]["index"]["_id"] == "7"
    for wrong in (b'{"index":{}}', b'{"index":1}\n{}', b'{"drop":{}}\n{}', b"x"):
        with pytest.raises(BadInput):
            read_bulk(wrong, NOW)


JOURNAL = (
    b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1764000000000001\n__MONOTONIC_TIMESTAMP=5\n"
    b"PRIORITY=3\n_HOSTNAME=h\nSYSLOG_IDENTIFIER=web\nMESSAGE=one = 1\n\n\n"
    b"_COMM=sh\nMESSAGE\n\x05\0\0\0\0\0\0\0a\nb=c\n\n"
)


@given(st.lists(st.integers(0, len(JOURNAL))))
def test_journal_entries_however_cut(cuts: list[int]) -> None:
    places = sorted({0, len(JOURNAL), *cuts})
    parser, found = JournalParser(1000, NOW), []
    for start, end in itertools.pairwise(places):
        found += parser.feed(JOURNAL[start:end])
    found += parser.finish()
    assert [(r.time_ns, r.app, r.host, r.level, r.message, r.fields) for r in found] == [
        (NOW + 1000, "web", "h", "ERROR", "one = 1", {"__CURSOR": "s=1;i=2"}),
        (NOW, "sh", "-", "INFO", "a\nb=c", {}),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"lower=1\n",
        b"A\n\xff\xff\xff\xff\0\0\0\0",
        b"A\n\x01\0\0\0\0\0\0\0ab",
        b"A=" + b"x" * 5000 + b"\n",
        b"A=1\nB=",
    ],
)
def test_journals_that_are_none(data: bytes) -> None:
    parser = JournalParser(1000, NOW)

    def read() -> None:
        parser.feed(data)
        parser.finish()

    with pytest.raises(BadInput):
        read()


GELF = {
    "version": "1.1", "host": "h", "short_message": "one", "full_message": "one\ntwo",
    "timestamp": 1764000000.5, "level": 4, "_app": "web", "_n": 1,
}  # fmt: skip


def chunked(data: bytes, name: bytes, size: int) -> list[bytes]:
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return [
        CHUNK_MARK + name + bytes([number, len(parts)]) + part for number, part in enumerate(parts)
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress, ZSTD])
def test_gelf_packed_and_in_chunks_of_any_order(pack: Callable[[bytes], bytes]) -> None:
    data = pack(json.dumps(GELF).encode())
    chunks, other = Chunks(), pack(b'{"short_message":"other"}')
    datagrams = chunked(data, b"12345678", 20) + chunked(other, b"87654321", 10)
    # From the last to the first, each twice.
    wholes = [chunks.feed(d, "s", 0.0) for d in reversed([d for d in datagrams for _ in (1, 2)])]
    found = [unpack_gelf(whole, 10_000) for whole in wholes if whole is not None]
    records = [parse_gelf(whole, NOW, "sender", "default") for whole in found]
    assert [(r.time_ns, r.app, r.host, r.level, r.message, r.fields) for r in records] == [
        (NOW, "default", "sender", "ALERT", "other", {}),
        (NOW + 500_000_000, "web", "h", "WARNING", "one", {"n": 1, "full_message": "one\ntwo"}),
    ]


def test_gelf_chunks_have_bounds() -> None:
    chunks = Chunks()
    first, second = chunked(b"x" * 20, b"12345678", 10)
    assert chunks.feed(first, "s", 0.0) is None
    # Another sender's, and too late.
    assert chunks.feed(second, "t", 1.0) is None
    assert chunks.feed(second, "s", 5.0) is None
    assert chunks.lost == 1
    for number in range(2000):
        big = CHUNK_MARK + number.to_bytes(8, "big") + bytes([0, 2]) + b"x" * 60_000
        assert chunks.feed(big, "s", 5.0) is None
    assert chunks._size <= 16 * 1024 * 1024 + 60_000
    assert chunks.lost > 1000
    for bad in (b"", b"12345678\0\0", b"12345678\2\2x", b"12345678\0\x81x"):
        with pytest.raises(BadInput):
            chunks.feed(CHUNK_MARK + bad, "s", 6.0)


BOMB = b"x" * 100_000


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", ZSTD), ("", bytes)],
)
def test_bodies_within_and_over_the_bound(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert unpack_body(pack(BOMB), encoding, len(BOMB)) == BOMB
    with pytest.raises(BodyTooLarge):
        unpack_body(pack(BOMB), encoding, len(BOMB) - 1)
    if encoding:
        with pytest.raises(BadInput):
            unpack_body(b"not packed", encoding, 1000)


def test_snappy_within_and_over_the_bound() -> None:
    packed = bytes(cramjam.snappy.compress_raw(BOMB))
    assert unpack_snappy(packed, len(BOMB)) == BOMB
    with pytest.raises(BodyTooLarge):
        unpack_snappy(packed, len(BOMB) - 1)
    for bad in (b"", packed[:-1], b"\x05abc", os.urandom(50)):
        with pytest.raises(BadInput):
            unpack_snappy(bad, 1000)


READERS: list[Callable[[bytes], list[Record]]] = [
    lambda body: read_json_lines(body, NOW),
    lambda body: read_loki_json(body, NOW),
    lambda body: read_loki_protobuf(body, NOW),
    lambda body: read_otlp_json(body, NOW),
    lambda body: read_otlp_protobuf(body, NOW),
    lambda body: read_bulk(body, NOW).records,
    lambda body: JournalParser(1000, NOW).feed(body),
    lambda body: [parse_gelf(unpack_gelf(body, 1000), NOW)],
]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "streams", "stream", "values", "resourceLogs", "scopeLogs", "logRecords", "index",
            "timeUnixNano", "short_message", "timestamp", "level", "body", "host", "message",
        ]),
        inner,
        max_size=3,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=100) | _json.map(lambda value: json.dumps(value).encode()))
def test_any_body_gives_records_or_a_bad_input(body: bytes) -> None:
    for read in READERS:
        try:
            records = read(body)
        except BadInput:
            continue
        for record in records:
            assert 0 <= record.time_ns < 2**63
            assert isinstance(record.message, str)


@given(st.integers(0, len(loki_protobuf())), st.integers(0, 255))
def test_a_damaged_message_is_refused_or_read(position: int, byte: int) -> None:
    data = bytearray(loki_protobuf())
    data[min(position, len(data) - 1)] = byte
    for read in (read_loki_protobuf, read_otlp_protobuf):
        try:
            read(bytes(data), NOW)
        except BadInput:
            continue


@given(st.lists(st.tuples(st.integers(1, 15), st.binary(max_size=300)), max_size=5))
def test_fields_are_read_as_they_were_written(fields: list[tuple[int, bytes]]) -> None:
    data = b"".join(bytes_field(number, value) for number, value in fields)
    assert list(fields_of(data)) == fields
