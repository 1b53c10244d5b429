"""Syslog messages: the RFCs' own examples, what is found in the field, and anything at all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.logs.inputs.syslog import parse_syslog

NOW = 1_764_000_000_000_000_000


def utc_ns(text: str, nanoseconds: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9 + nanoseconds


def local_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("message", "time_ns", "host", "app", "level", "text", "fields"),
    [
        (
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
            b"\xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8",
            utc_ns("2003-10-11T22:14:15", 3_000_000),
            "mymachine.example.com",
            "su",
            "CRITICAL",
            "'su root' failed for lonvick on /dev/pts/8",
            {"facility": "auth", "msgid": "ID47"},
        ),
        (
            b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time.",
            utc_ns("2003-08-24T12:14:15", 3_000),
            "192.0.2.1",
            "myproc",
            "NOTICE",
            "%% It's time.",
            {"facility": "local4", "procid": "8710"},
        ),
        (
            b'<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [exampleSDID@32473 iut="3" '
            b'eventSource="Application"][examplePriority@32473 class="high"] text',
            utc_ns("2003-10-11T22:14:15", 3_000_000),
            "h",
            "evntslog",
            "NOTICE",
            "text",
            {
                "facility": "local4",
                "msgid": "ID47",
                "exampleSDID@32473.iut": "3",
                "exampleSDID@32473.eventSource": "Application",
                "examplePriority@32473.class": "high",
            },
        ),
        (
            rb'<14>1 - - - - - [a k="q\"b\\s\]e"]',
            NOW,
            "there",
            "-",
            "INFO",
            "",
            {"facility": "user", "a.k": 'q"b\\s]e'},
        ),
        (
            b"<34>Oct 11 22:14:15 mymachine su[7]: 'su root' failed\n",
            local_ns("2025-10-11T22:14:15"),
            "mymachine",
            "su",
            "CRITICAL",
            "'su root' failed",
            {"facility": "auth", "procid": "7"},
        ),
        # The year behind the month's day, as some routers have it.
        (
            b"<13>Feb  5 2024 17:32:18 10.0.0.99 prog: text",
            local_ns("2024-02-05T17:32:18"),
            "10.0.0.99",
            "prog",
            "NOTICE",
            "text",
            {"facility": "user"},
        ),
        # logger without a host; rsyslog's forward format.
        (
            b"<13>Nov 23 10:00:00 prog: no host",
            local_ns("2025-11-23T10:00:00"),
            "there",
            "prog",
            "NOTICE",
            "no host",
            {"facility": "user"},
        ),
        (
            b"<30>2025-11-23T10:00:00.123456+00:00 web nginx: line",
            utc_ns("2025-11-23T10:00:00", 123_456_000),
            "web",
            "nginx",
            "INFO",
            "line",
            {"facility": "daemon"},
        ),
    ],
)
def test_messages_of_both_rfcs(
    message: bytes,
    time_ns: int,
    host: str,
    app: str,
    level: str,
    text: str,
    fields: dict[str, object],
) -> None:
    record, well_formed = parse_syslog(message, NOW, "there")
    assert well_formed
    assert (record.time_ns, record.host, record.app, record.level) == (time_ns, host, app, level)
    assert (record.message, record.fields) == (text, fields)


@pytest.mark.parametrize(
    "message",
    [
        b"just text",
        b"<192>1 - - - - - -",
        b"<>text",
        b"<0123>x",
        b"<13>no time here",
        b"<13>1 yesterday h a - - - text",
        b"<13>1 9999-12-31T23:59:59Z h a - - - text",
        b'<13>1 - h a - - [broken k="v text',
        b"<13>1 - h a - - text without structured data",
    ],
)
def test_what_follows_no_rfc_is_kept_and_told(message: bytes) -> None:
    record, well_formed = parse_syslog(message, NOW, "there", "fallback")
    assert not well_formed
    assert message.split()[-1].decode() in record.message or record.message == "-"
    assert record.time_ns == NOW


def test_decembers_lines_read_in_january_are_last_years() -> None:
    january = local_ns("2026-01-01T00:00:05")
    record, _ = parse_syslog(b"<13>Dec 31 23:59:58 h p: x", january)
    assert record.time_ns == local_ns("2025-12-31T23:59:58")


@given(st.binary(max_size=200), st.sampled_from([b"", b"<13>", b"<13>1 ", b"<13>1 - - - - - ["]))
def test_any_bytes_are_a_record(tail: bytes, head: bytes) -> None:
    record, _ = parse_syslog(head + tail, NOW)
    assert record.level


_word = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
_name = st.text("abcXYZ09.-_", min_size=1, max_size=20)


@given(
    st.integers(0, 191),
    _word.filter(lambda w: w != "-"),
    _word.filter(lambda w: w != "-"),
    st.dictionaries(_name, st.text(max_size=20), max_size=3),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=50),
)
def test_what_was_written_by_the_rfc_is_read(
    priority: int, host: str, app: str, data: dict[str, str], text: str
) -> None:
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
        for name, value in data.items()
    }
    parameters = "".join(f' {name}="{value}"' for name, value in escaped.items())
    structured = f"[id{parameters}]" if data else "-"
    message = f"<{priority}>1 2026-01-02T03:04:05.000000006Z {host} {app} - - {structured} {text}"
    record, well_formed = parse_syslog(message.encode(), NOW)
    assert well_formed
    assert (record.host, record.app) == (host, app)
    assert record.time_ns == utc_ns("2026-01-02T03:04:05", 6)
    assert record.message == text.removeprefix("\ufeff")
    for name, value in data.items():
        assert record.fields[f"id.{name}"] == value
