"""Tokens: who may write what, and files that are wrong in one line."""

from __future__ import annotations

import base64

import pytest

from verdant.logs import InputUnusable
from verdant.logs.inputs.tokens import parse_tokens, token_of

ONE, TWO, ALL = "1" * 16, "2" * 16, "3" * 16


def test_a_token_grants_its_apps_and_no_other() -> None:
    tokens = parse_tokens(f"# people\n\n{ONE} write web,till\n{TWO} read web\n{ALL} write *\n", "f")
    one, everything = tokens.find(ONE), tokens.find(ALL)
    assert one is not None
    assert everything is not None
    assert (one.allows("web"), one.allows("till"), one.allows("bank")) == (True, True, False)
    assert (one.default_app, everything.default_app) == ("web", None)
    assert everything.allows("bank")
    # Reading is not writing.
    assert tokens.find(TWO) is None
    assert tokens.find("") is None


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("short write web", "shorter than 16"),
        (f"{ONE} admin web", "no scope"),
        (f"{ONE} write", "2 words"),
        (f"{ONE} write ,", "no app"),
        (f"{ONE} write web till", "4 words"),
    ],
)
def test_a_wrong_line_is_named_and_the_token_is_not(line: str, named: str) -> None:
    with pytest.raises(InputUnusable, match=r"^tokens:2: ") as caught:
        parse_tokens(f"# first\n{line}\n", "tokens")
    assert named in str(caught.value)
    assert ONE not in str(caught.value)


def test_where_a_token_is_in_a_request() -> None:
    basic = base64.b64encode(f"anybody:{ONE}".encode()).decode()
    assert (
        token_of(f"Bearer {ONE}")
        == token_of(f"bearer  {ONE} ")
        == token_of(f"Basic {basic}")
        == ONE
    )
    for nothing in ("", "Bearer", "Basic !", "Basic ////", f"Digest {ONE}"):
        assert token_of(nothing) is None
