"""What applications say of their answers, and what they may not say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.wsgi.fields import CLOSE, DATE, LENGTH, PLAIN, field_line, status_line


def test_statuses() -> None:
    assert status_line("200 OK") == (200, b"HTTP/1.1 200 OK")
    assert status_line("299 ") == (299, b"HTTP/1.1 299 ")
    assert status_line("404") == (404, b"HTTP/1.1 404")
    for wrong in ("", "OK", "20 OK", "100 Continue", "200 O\r\nX: y", "200OK", "٢٠٠ OK", "200 ✓"):
        with pytest.raises(ValueError, match="cannot be the status"):
            status_line(wrong)


def test_kinds_of_fields() -> None:
    assert field_line(("X-A", " b ")) == (PLAIN, b"\r\nX-A: b", 0)
    assert field_line(("content-Length", "12")) == (LENGTH, b"", 12)
    assert field_line(("Date", "today")) == (DATE, b"\r\nDate: today", 0)
    assert field_line(("Connection", "Close")) == (CLOSE, b"", 0)
    assert field_line(("Connection", "keep-alive")) == (PLAIN, b"", 0)


@pytest.mark.parametrize(
    "pair",
    [
        ("X", "a\r\nY: b"),
        ("X", "a\n"),
        ("X\r\n", "a"),
        ("X Y", "a"),
        ("", "a"),
        ("X:", "a"),
        ("X", "✓"),
        ("X", "a\0"),
        ("Content-Length", "+1"),
        ("Content-Length", "1_0"),
        ("Content-Length", "\u0661"),
        ("Content-Length", "-1"),
        ("Content-Length", ""),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("Connection", "X-Secret"),
    ],
)
def test_what_cannot_be_said(pair: tuple[str, str]) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=r"cannot|server's|may say"):
            field_line(pair)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_pair_ends_a_line_early(name: str, value: str) -> None:
    try:
        line = field_line((name, value)).line
    except ValueError:
        return
    assert line.count(b"\r") == line.count(b"\n") == (1 if line else 0)


def test_what_is_remembered_has_a_bound() -> None:
    for number in range(3000):
        assert field_line(("X-Number", str(number))).line == b"\r\nX-Number: %d" % number
