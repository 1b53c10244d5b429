"""The corpus, on a connection without sockets: whole and byte by byte, beside llhttp and h11."""

from __future__ import annotations

import pytest
from http_corpus import AFTER, CASES, Case
from http_memory import statuses, talk
from http_oracles import read_by_h11, read_by_llhttp

from verdant.balancer import BalancerConfig

BODY_BYTES_MAX = BalancerConfig().body_bytes_max
# Beyond this, bytes come by tens: the bounds are what such cases are about.
SINGLE_BYTES_MAX = 4096

# What no rule tells apart here is the balancer's affair (tests/flows/test_strictness.py).
PARSED = [case for case in CASES if 503 not in case.answers]


def pieces(data: bytes) -> list[bytes]:
    step = 1 if len(data) <= SINGLE_BYTES_MAX else 10
    return [data[at : at + step] for at in range(0, len(data), step)]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in PARSED])
def test_each_case_is_read_as_it_must_be_however_it_is_cut(case: Case) -> None:
    data = case.data if case.eof else case.data + AFTER
    seen, said = talk([data], BODY_BYTES_MAX)
    assert talk(pieces(data), BODY_BYTES_MAX)[0] == seen
    targets = [target for _, target, _ in seen]
    assert b"/hidden" not in (targets if case.ends else targets[:1])
    assert len(seen) == case.seen + (not case.ends)
    assert (b"/after" in targets) == (not case.ends)
    methods = [method for method, _, _ in seen]
    expected = [*case.answers] if case.ends else [*case.answers, 200]
    for told in (said, talk(pieces(data), BODY_BYTES_MAX)[1]):
        assert statuses(told, methods) == expected
    if case.body is not None:
        assert seen[0][2] == case.body


# Where a peer takes less than the RFC allows: nothing that anybody could hide behind.
NOT_LLHTTP = {"method case"}  # It knows a list of methods.
# RFC 9112 section 2.2 lets a server ignore one.
NOT_H11 = {"empty line before", "empty line between"}
TAKEN = [case for case in PARSED if case.seen and 400 not in case.answers]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in TAKEN])
def test_what_is_taken_means_the_same_to_llhttp_and_h11(case: Case) -> None:
    data = case.data if case.ends else case.data + AFTER
    seen, _ = talk([data], BODY_BYTES_MAX)
    if case.name not in NOT_H11:
        read = [found.seen() for found in read_by_h11(data)]
        # It keeps no HTTP/1.0 connection.
        count = 1 if b"HTTP/1.0" in data else len(seen)
        assert read[:count] == seen[:count]
    # It stops at an Upgrade, and reads on behind a close.
    if case.name not in NOT_LLHTTP and not case.ends and b"pgrade" not in case.data:
        assert [found.seen() for found in read_by_llhttp(data)] == seen
