"""The reference has every name of the two doors, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from verdant.zmq import patterns, security

TEXT = (Path(__file__).parents[2] / "docs/reference/zmq-patterns.md").read_text()


@pytest.mark.parametrize("door", [patterns, security], ids=lambda door: str(door.__name__))
def test_every_name_is_described_and_no_other(door: object) -> None:
    name, names = door.__name__, door.__all__  # type: ignore[attr-defined]  # a module
    section = TEXT.split(f"## `{name}`\n", 1)[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.M)) == sorted(names)
