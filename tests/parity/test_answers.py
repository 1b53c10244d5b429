"""The pages that compare us with the peers name tests that exist, and leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANSWERS = (ROOT / "docs/explanation/answers.md").read_text()
PARITY = (ROOT / "docs/reference/parity.md").read_text()

# How many pains the list of what users ask for has.
PAINS = 15


def rows(document: str) -> list[list[str]]:
    """The cells of every row of every table, without heads and rules."""
    tables = re.findall(r"(?:^\|.*\n)+", document, re.M)
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for table in tables
        for line in table.splitlines()[2:]
    ]


def test_every_pain_has_its_row() -> None:
    numbers = [row[0] for row in rows(ANSWERS) if row[0].isdigit()]
    assert numbers == [str(n) for n in range(1, PAINS + 1)]


@pytest.mark.parametrize("row", rows(ANSWERS), ids=lambda row: row[0][:30])
def test_every_answer_names_tests_that_exist(row: list[str]) -> None:
    references = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row[-1])
    assert references, row
    for file, name in references:
        text = (ROOT / file).read_text()
        assert re.search(rf"^\s*def {name or 'test_'}", text, re.M), (file, name)


@pytest.mark.parametrize("row", rows(PARITY), ids=lambda row: row[0][:30])
def test_what_a_peer_has_is_here_or_has_its_reason(row: list[str]) -> None:
    _, eventlet, gevent, ours, remark = row
    assert {eventlet, gevent, ours} <= {"y", "p", "n"}
    if ours != "y" and "y" in (eventlet, gevent):
        assert len(remark) > 30, row


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(verdant(?:\.\w+)+)", PARITY + ANSWERS))))
def test_every_name_is_there(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    found = __import__(module, fromlist=[attribute])
    if not hasattr(found, attribute):
        __import__(name)
