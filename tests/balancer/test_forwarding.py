from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.forwarding import (
    client_address,
    external_fields,
    forward_external,
    forward_internal,
    proto_of,
)
from verdant.http import parse_request_head

HEAD = b"GET /x-forwarded-for: HTTP/1.1\r\nHost: x.example\r\nAccept: */*"
FIELDS = external_fields(b"192.0.2.1")

names = st.sampled_from(
    [b"X-Forwarded-For", b"x-FORWARDED-for", b"X_Forwarded_For", b"X-Forwarded-Proto",
     b"X-Forwarded-Host", b"X-Forwarded-Ssl", b"X-Forwarded", b"Forwarded", b"X-Real-IP",
     b"x-real_ip", b"Accept", b"Forwarded-To-Nobody", b"X-Forward", b"My-X-Forwarded-For"]
)  # fmt: skip
values = st.from_regex(rb"[a-z0-9.,:= \t\xff]{0,12}", fullmatch=True)
heads = st.lists(st.tuples(names, values), max_size=6).map(
    lambda fields: HEAD + b"".join(b"\r\n%s: %s" % field for field in fields)
)

CLAIMS = {b"x-forwarded", b"forwarded", b"x-real-ip"}


def is_claim(name: bytes) -> bool:
    plain = name.lower().replace(b"_", b"-")
    return plain in CLAIMS or plain.startswith(b"x-forwarded-")


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("192.0.2.1", b"192.0.2.1"),
        ("2001:db8::1", b"2001:db8::1"),
        ("::ffff:192.0.2.1", b"192.0.2.1"),
        ("fe80::1%eth0", b"fe80::1"),
        ("", b""),
        ("/run/x.sock", b""),
        ("a\r\nb", b""),
    ],
)
def test_a_peer_is_told_by_its_address(host: str, told: bytes) -> None:
    assert client_address(host) == told


def test_a_head_without_claims_is_passed_on_as_it_is() -> None:
    head, fields = forward_external(HEAD, FIELDS)
    assert head is HEAD
    assert fields is FIELDS
    assert fields == b"\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http"
    assert forward_internal(HEAD, b"192.0.2.1") == (HEAD, FIELDS)
    assert external_fields(b"", b"https") == b"\r\nX-Forwarded-Proto: https"


@given(heads)
def test_an_external_listener_lets_no_claim_through(head: bytes) -> None:
    out, fields = forward_external(head, FIELDS)
    before, after = parse_request_head(head).headers, parse_request_head(out).headers
    assert list(after) == [field for field in before if not is_claim(field[0])]
    assert parse_request_head(out + fields).header(b"X-Forwarded-For") == b"192.0.2.1"


@given(heads)
def test_an_internal_listener_keeps_claims_and_adds_its_peer(head: bytes) -> None:
    out, fields = forward_internal(head, b"192.0.2.9", b"http")
    before, after = parse_request_head(head), parse_request_head(out + fields)
    told = [value.strip(b" \t,") for name, value in before.headers
            if name.lower() == b"x-forwarded-for"]  # fmt: skip
    wanted = b", ".join([*filter(None, told), b"192.0.2.9"])
    assert [v for n, v in after.headers if n.lower() == b"x-forwarded-for"] == [wanted]
    others = [f for f in before.headers if f[0].lower() != b"x-forwarded-for"]
    assert list(after.headers)[: len(others)] == others
    if before.header(b"x-forwarded-proto") is None:
        assert after.header(b"x-forwarded-proto") == b"http"


def test_an_internal_peer_without_address_adds_none() -> None:
    head = HEAD + b"\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https"
    assert forward_internal(head, b"") == (
        HEAD + b"\r\nX-Forwarded-Proto: https",
        b"\r\nX-Forwarded-For: 192.0.2.1",
    )


@pytest.mark.parametrize(
    ("field", "proto"),
    [
        (b"X-Forwarded-Proto: https", b"https"),
        (b"x-forwarded-protocol:SSL", b"https"),
        (b"X-Forwarded-Proto: https, http", b"https"),
        (b"X-Forwarded-Proto: http, https", b"http"),
        (b"X-Forwarded-Proto: gopher", b"http"),
        (b"X-Forwarded-Proto:", b"http"),
        (b"X-Other: https", b"http"),
    ],
)
def test_the_protocol_is_what_the_trusted_peer_says(field: bytes, proto: bytes) -> None:
    assert proto_of(HEAD + b"\r\n" + field) == proto


def test_the_protocol_of_a_silent_peer_is_the_listeners() -> None:
    assert proto_of(HEAD, b"https") == b"https"
