from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.address import BadAddress, TcpAddress, UnixAddress, parse_address
from verdant.errors import VerdantError

hosts = st.one_of(
    st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True),
    st.ip_addresses().map(str),
    st.just("*"),
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
        ("localhost:0", TcpAddress("localhost", 0)),
        ("[::1]:80", TcpAddress("::1", 80)),
        ("*:80", TcpAddress("*", 80)),
        ("unix:/run/verdant/web.sock", UnixAddress("/run/verdant/web.sock")),
    ],
)
def test_reads_and_writes_each_form(text: str, address: TcpAddress | UnixAddress) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "80", ":80", "host", "host:", "host:x", "host:65536", "host:-1", "host:+1", "host: 1",
     "host:٣", "::1:80", "[]:80", "a b:80", "a/b:80", "unix:", "unix:a\0b", "unix:/" + "x" * 200,
     "host:000080"],
)  # fmt: skip
def test_refuses_what_is_no_address_and_shows_how(text: str) -> None:
    with pytest.raises(BadAddress, match=r"write it as|choose a shorter") as caught:
        parse_address(text)
    assert isinstance(caught.value, VerdantError)
    assert isinstance(caught.value, ValueError)


@given(hosts, st.integers(0, 65535))
def test_an_address_survives_its_text(host: str, port: int) -> None:
    address = TcpAddress(host, port)
    assert parse_address(str(address)) == address


@given(st.text())
def test_any_text_is_an_address_or_a_bad_one(text: str) -> None:
    try:
        address = parse_address(text)
    except BadAddress:
        return
    assert parse_address(str(address)) == address
