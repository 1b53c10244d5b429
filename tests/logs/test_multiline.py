"""Joining lines: real tracebacks, interleaved streams, and every byte in exactly one event."""

from __future__ import annotations

import json
import re
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.logs.client.containers import read_line
from verdant.logs.client.multiline import (
    EVENT_BYTES_MAX,
    BadMultiline,
    Event,
    Joiner,
    Line,
    parse_multiline,
)


def joined(rule: str, text: str) -> list[str]:
    joiner, found, position = Joiner(parse_multiline(rule)), [], 0
    for line in text.splitlines():
        end = position + len(line) + 1
        joiner.feed(Line(position, end, line))
        found += joiner.take()
        position = end
    return [event.text for event in found + joiner.take(flush=True)]


def real_traceback() -> str:
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as exc:
            raise ValueError("outer") from exc

    try:
        fail()
    except ValueError:
        return traceback.format_exc().rstrip("\n")
    raise AssertionError


JAVA = """2026-01-02 03:04:05 ERROR Exception in thread "main" java.lang.IllegalStateException: no
\tat com.example.Book.getTitle(Book.java:16)
\tat com.example.Main.main(Main.java:5)
\tSuppressed: java.lang.Exception: closing
\t\tat com.example.Main.close(Main.java:9)
Caused by: java.lang.NullPointerException
\tat com.example.Book.getId(Book.java:22)
\t... 1 more"""


@pytest.mark.parametrize("rule", ["python", "auto"])
def test_a_chained_python_traceback_is_one_event(rule: str) -> None:
    trace = real_traceback()
    assert "direct cause" in trace
    assert joined(rule, f"before\n{trace}\nafter\n{trace}\n{trace}") == [
        "before", trace, "after", trace, trace,
    ]  # fmt: skip


@pytest.mark.parametrize("rule", ["java", "auto"])
def test_a_java_traceback_belongs_to_its_line(rule: str) -> None:
    assert joined(rule, f"before\n{JAVA}\nafter") == ["before", JAVA, "after"]


def test_the_other_rules() -> None:
    assert joined("none", "a\n b\nc") == ["a", " b", "c"]
    assert joined("indent", "a\n b\n\tc\nd") == ["a\n b\n\tc", "d"]
    assert joined("start=^[0-9]", "1 a\nb\nc\n2 d") == ["1 a\nb\nc", "2 d"]


@pytest.mark.parametrize("rule", ["pyhton", "start=(", "", "none=1"])
def test_a_rule_that_there_is_not(rule: str) -> None:
    with pytest.raises(BadMultiline):
        parse_multiline(rule)


def test_a_very_long_event_comes_in_parts() -> None:
    events = joined("indent", "a\n" + " x" * 500 + "\n" + (" y" * 500 + "\n") * 2000)
    assert max(map(len, events)) <= EVENT_BYTES_MAX + 1001
    assert sum(event.count("\n") + 1 for event in events) == 2002


def test_lines_of_containers() -> None:
    cri = b"2016-10-06T00:17:09.669794202Z stderr P the beginning "
    line = read_line("cri", cri, 0, len(cri) + 1)
    assert line[2:] == ("the beginning ", "stderr", 1475713029669794202, True)
    docker = json.dumps({"log": "text\n", "stream": "stdout", "time": "2026-01-02T03:04:05.6Z"})
    line = read_line("docker", docker.encode(), 0, 9)
    assert line[2:] == ("text", "stdout", 1767323045600000000, False)
    for kind in ("cri", "docker", "plain"):
        assert read_line(kind, b"something else\r", 3, 19) == Line(3, 19, "something else")


def test_partial_lines_of_two_streams_are_joined_apart() -> None:
    joiner = Joiner(parse_multiline("none"))
    joiner.feed(Line(0, 10, "out 1, ", "stdout", partial=True))
    joiner.feed(Line(10, 20, "err 1, ", "stderr", partial=True))
    joiner.feed(Line(20, 30, "out 2", "stdout"))
    # Nothing yet: reading could not go on from anywhere.
    assert joiner.take() == []
    joiner.feed(Line(30, 40, "err 2", "stderr"))
    assert joiner.take() == [
        Event(None, "out 1, out 2", "stdout", None),
        Event(40, "err 1, err 2", "stderr", None),
    ]


def numbers(events: list[Event]) -> list[int]:
    return sorted(int(n) for event in events for n in re.findall(r"#([0-9]+)", event.text))


_lines = st.lists(
    st.tuples(
        st.sampled_from(["a", " b", "\tat c", "Traceback (most recent call last):", "", "E: x"]),
        st.sampled_from(["stdout", "stderr"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=30,
)


@given(_lines, st.sampled_from(["none", "indent", "python", "java", "auto", "start=^a"]))
def test_every_line_is_in_one_event_and_going_on_from_an_end_loses_and_repeats_nothing(
    lines: list[tuple[str, str, bool, bool]], rule: str
) -> None:
    fed = [
        Line(number, number + 1, f"{text}#{number}", stream, partial=partial)
        for number, (text, stream, partial, _) in enumerate(lines)
    ]

    joiner, events = Joiner(parse_multiline(rule)), []
    for line, (_, _, _, take) in zip(fed, lines, strict=True):
        joiner.feed(line)
        if take:
            taken = joiner.take()
            events += taken
            # What was given out by now is all before the last end.
            if taken:
                end = taken[-1].end
                assert end is not None
                assert numbers(events) == list(range(end))
    events += joiner.take(flush=True)
    assert numbers(events) == list(range(len(fed)))
