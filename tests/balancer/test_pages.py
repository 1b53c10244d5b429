from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.pages import PAGE_BYTES_MAX, Pages, parse_page
from verdant.http import Response, response_head

if TYPE_CHECKING:
    from pathlib import Path


def parts(page: Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    assert isinstance(page.body, bytes)
    return page.status, list(page.headers), page.body


class Tags(HTMLParser):
    """Which tags a page has, and which of them reach outside."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


@pytest.mark.parametrize(
    ("name", "status"), [("no-hosts", 503), ("test", 200), ("timeout", 503), ("unknown", 503)]
)
def test_the_shipped_pages_are_whole_and_need_nothing_else(name: str, status: int) -> None:
    page = Pages().page(name)
    assert page.status == status
    assert page.header(b"Content-Type") == b"text/html; charset=utf-8"
    # A page for now, not to be kept.
    assert page.header(b"Cache-Control") == b"no-store"
    tags = Tags()
    tags.feed(parts(page)[2].decode("utf-8"))
    assert {"title", "h1", "p"} <= set(tags.tags)
    assert not tags.links


def test_line_ends_of_the_head_are_free_and_the_body_keeps_its_bytes() -> None:
    body = b"\x89PNG\r\n\x1a\n\r\n\r\n"
    for end in (b"\n", b"\r\n"):
        head = end.join(
            [b"HTTP/1.0 404 Gone fishing", b"X-A:  b: c ", b"content-length: 9", b"", b""]
        )
        assert parts(parse_page(head + body)) == (404, [(b"X-A", b"b: c")], body)
    assert parts(parse_page(b"HTTP/1.1 204\n\n")) == (204, [], b"")


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\n", b"HTTP/1.1 OK\n\n",
     b"HTTP/1.1 2000 OK\n\n",
     b"HTTP/1.1 100 Continue\n\n", b"HTTP/1.1 200 OK\nno field\n\n", b"HTTP/1.1 200 OK\nA B: c\n\n",
     b"HTTP/1.1 200 OK\nA: b\x00\n\n", b"HTTP/1.1 200 OK\n folded: b\n\n", b"\n\n",
     b"HTTP/1.1 200 OK\n\n" + b"x" * PAGE_BYTES_MAX],
)  # fmt: skip
def test_what_is_no_page_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"page|field"):
        parse_page(data)


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_bytes_are_a_page_that_can_be_sent_or_none(fields: bytes, body: bytes) -> None:
    try:
        page = parse_page(b"HTTP/1.1 200 OK\n" + fields + b"\n\n" + body)
    except ValueError:
        return
    response_head(page.status, list(page.headers))


def test_the_operators_page_goes_first(tmp_path: Path) -> None:
    (tmp_path / "unknown.http").write_bytes(b"HTTP/1.1 404 Not Found\n\nmine")
    (tmp_path / "extra.http").write_bytes(b"HTTP/1.1 200 OK\n\nextra")
    pages = Pages(str(tmp_path))
    assert pages.page("unknown").body == b"mine"
    assert pages.page("extra").body == b"extra"
    assert pages.page("test").status == 200


def test_a_bad_page_is_told_once_and_stood_in_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "test.http").write_bytes(b"oops")
    pages = Pages(str(tmp_path))
    for asked, sent in (("test", "test"), ("nowhere", "unknown")):
        assert parts(pages.page(asked)) == parts(Pages().page(sent))
        assert pages.page(asked) is pages.page(asked)
    broken, missing = (record.getMessage() for record in caplog.records)
    assert "test.http" in broken
    assert "'nowhere'" in missing
