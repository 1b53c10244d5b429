"""Environ: what PEP 3333 wants of a request."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import given
from hypothesis import strategies as st

from verdant.http import parse_request_head
from verdant.wsgi import make_environ


def environ_of(head: bytes, **options: Any) -> dict[str, Any]:
    return make_environ(parse_request_head(head), ("10.0.0.1", 80), ("10.0.0.2", 1234), **options)


def test_the_request_line_and_the_addresses() -> None:
    found = environ_of(b"GET /a%20b/%C3%A9?q=%20x HTTP/1.1\r\nHost: a.test:80")
    wanted = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/Ã©",
        "QUERY_STRING": "q=%20x",
        "RAW_URI": "/a%20b/%C3%A9?q=%20x",
        "SERVER_NAME": "10.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.2",
        "REMOTE_PORT": "1234",
        "HTTP_HOST": "a.test:80",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
    }
    assert {key: found[key] for key in wanted} == wanted
    assert "HTTPS" not in found
    assert found["wsgi.input"].read() == b""


@given(st.binary(max_size=50))
def test_every_path_of_bytes_arrives(path: bytes) -> None:
    target = b"/" + quote_from_bytes(path, safe=b"").encode()
    found = environ_of(b"GET %b HTTP/1.1\r\nHost: a" % target)
    assert found["PATH_INFO"].encode("latin-1") == b"/" + path


def test_odd_targets() -> None:
    assert environ_of(b"OPTIONS * HTTP/1.1\r\nHost: a")["PATH_INFO"] == "/"
    found = environ_of(b"GET http://a/b?c HTTP/1.1\r\nHost: a")
    assert (found["PATH_INFO"], found["QUERY_STRING"]) == ("/b", "c")
    assert environ_of(b"GET //b HTTP/1.1\r\nHost: a")["PATH_INFO"] == "//b"


def test_fields_become_variables() -> None:
    found = environ_of(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
        b"X-One: 1\r\nx-one:2 \t\r\nCookie: a=1\r\nCookie: b=2\r\nX-Latin: \xe9",
    )
    assert found["CONTENT_TYPE"] == "text/plain"
    assert found["CONTENT_LENGTH"] == "3"
    assert found["HTTP_X_ONE"] == "1,2"
    assert found["HTTP_COOKIE"] == "a=1; b=2"
    assert found["HTTP_X_LATIN"] == "\xe9"
    assert "HTTP_CONTENT_TYPE" not in found


def test_no_field_poses_as_another() -> None:
    found = environ_of(
        b"GET / HTTP/1.1\r\nHost: a\r\nX_User: root\r\nContent_Type: 5\r\nProxy: evil:1"
    )
    assert "HTTP_X_USER" not in found
    assert "CONTENT_TYPE" not in found
    assert "HTTP_PROXY" not in found


@given(st.lists(st.from_regex(r"[A-Za-z0-9-]{1,80}", fullmatch=True), max_size=100))
def test_any_number_of_names_is_translated(names: list[str]) -> None:
    framing = {"connection", "content-length", "transfer-encoding", "host", "expect", "proxy", "te"}
    names = [name for name in names if name.lower() not in framing]
    lines = "".join(f"\r\n{name}: v" for name in names)
    found = environ_of(f"GET / HTTP/1.0{lines}".encode())
    for name in names:
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        assert set(found[key].split(",")) == {"v"}


def test_what_the_caller_adds_wins() -> None:
    found = environ_of(
        b"GET / HTTP/1.0", scheme="https", errors="log", extra={"SCRIPT_NAME": "/app"}
    )
    assert found["wsgi.url_scheme"] == "https"
    assert found["HTTPS"] == "on"
    assert found["wsgi.errors"] == "log"
    assert found["SCRIPT_NAME"] == "/app"
