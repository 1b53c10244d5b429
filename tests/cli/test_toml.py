from __future__ import annotations

import re
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer import BalancerConfig
from verdant.cli.toml import decode_toml
from verdant.errors import ConfigurationError


class Site(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    port: Annotated[int, msgspec.Meta(ge=1)] = 80


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    balancer: BalancerConfig = BalancerConfig()
    sites: list[Site] = []
    free: dict[str, int] = {}
    maybe: Site | None = None


def fails(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        decode_toml(text, "verdant.toml", Whole)
    return str(caught.value)


def test_a_good_file_is_its_values() -> None:
    whole = decode_toml('[balancer]\nbind = ["*:80"]\nwake.repeat_s = 2\n', "verdant.toml", Whole)
    assert whole.balancer.bind == ["*:80"]
    assert whole.balancer.wake.repeat_s == 2.0
    assert decode_toml("", "verdant.toml", Whole) == Whole()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # Values, under every way to write their key.
        ("# first\n\n[balancer]\nbind = 80\n", "verdant.toml:4: balancer.bind: expected `array`"),
        ("balancer.bind = 80", "verdant.toml:1: balancer.bind: expected"),
        ("balancer = { bind = 80 }", "verdant.toml:1: balancer.bind: expected"),
        ("[balancer.wake]\n\nrepeat_s = 0", "verdant.toml:3: balancer.wake.repeat_s: expected"),
        ("['balancer']\n'bind' = 80", "verdant.toml:2: balancer.bind: expected"),
        # The key's first line, for a value of several; text that only looks like the key.
        ('[balancer]\nstate_dir = """\nbind = 80\n"""\nbind = [\n  "*:80",\n  7,\n]\n',
         "verdant.toml:5: balancer.bind[1]: expected `str`, got `int`"),
        # Our own checks name the field themselves.
        ('[balancer]\nmanagement = "x"\n', "verdant.toml:2: balancer.management: 'x' is not"),
        ('[balancer]\n[balancer.wake]\npublish = "x"',
         "verdant.toml:3: balancer.wake.publish: 'x'"),
        # Unknown keys are never ignored.
        ('[balancer]\nbin = ["*:80"]', "verdant.toml:2: balancer.bin: there is no such key; did "
         "you mean `bind`?"),
        ("[balancer]\n[balancer.wake]\nzzz = 1", "verdant.toml:3: balancer.wake.zzz: there is no "
         "such key; the keys here are publish, command, repeat_s"),
        ("\n[balance]\n", "verdant.toml:2: balance: there is no such key; did you mean `balanc"),
        ("[maybe]\nname = 'a'\nprot = 1", "verdant.toml:3: maybe.prot: there is no such key; did "
         "you mean `port`?"),
        # Missing keys are told where their table is.
        ("[[sites]]\nname = 'a'\n[[sites]]\nport = 1\n", "verdant.toml:3: sites[1].name: this key "
         "is missing"),
        ("[[sites]]\nname = 'a'\n[[sites]]\nname = 'b'\nport = 0\n",
         "verdant.toml:5: sites[1].port:"),
        # A free table's key is not named by msgspec; its table is.
        ("a_line = 1", "verdant.toml:1: a_line: there is no such key"),
        ("[free]\na = 1\nb = 'x'", "verdant.toml:1: free: expected `int`, got `str`"),
        # What is not TOML at all.
        ("[balancer]\nbind = \n", "verdant.toml:2: not TOML: "),
        ("[balancer]\nbind = [", "verdant.toml:2: not TOML: "),
        ("a = 1\na = 2", "verdant.toml:2: not TOML: "),
    ],
)  # fmt: skip
def test_a_fault_is_told_by_file_line_and_key(text: str, says: str) -> None:
    assert fails(text).startswith(says)


def test_a_fault_in_a_very_long_file_goes_without_its_line() -> None:
    assert fails("#\n" * 2000 + "[balancer]\nbind = 80").startswith("verdant.toml: balancer.bind: ")
    assert "right file" in fails("#" * 2_000_000)


keys = st.sampled_from(["balancer", "bind", "sites", "name", "free", "wake", "x", "balancer.wake"])
lines = st.lists(
    st.one_of(
        keys.map("[{}]".format),
        keys.map("[[{}]]".format),
        st.tuples(keys, st.sampled_from(["1", "'a'", "[1,", "]", "{ name = 1 }", "nan"])).map(
            lambda pair: f"{pair[0]} = {pair[1]}"
        ),
        st.text(max_size=8),
    ),
    max_size=8,
)


@given(lines)
def test_any_text_is_values_or_one_error_with_the_files_name(text: list[str]) -> None:
    try:
        decode_toml("\n".join(text), "verdant.toml", Whole)
    except ConfigurationError as exc:
        assert re.match(r"verdant\.toml(:\d+)?: ", str(exc))  # noqa: PT017 - a good text is fine
