"""Multi-line: lines that belong together become one event.

Place     logs/client, pure: lines in, events out; the clock is whoever calls `take(flush=True)`.
Promise   events come in the order in which they began, each byte range in exactly one; an event is
          given out only when everything before its end is in events that were given out too, so
          that its end is a place from which reading can go on. None has more than `LINES_MAX`
          lines or `EVENT_BYTES_MAX` bytes: what is longer is given out in parts.
Not here  reading files (tail.py), the lines' own formats (containers.py).

    none      every line is an event
    indent    a line that begins blank belongs to the one before
    python    tracebacks, chained ones too
    java      "at …", "Caused by: …", "... 7 more" belong to the line before
    auto      python and java
    start=RE  a line that matches (RE2) begins an event, the others belong to it
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import re2

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BadMultiline", "Event", "Joiner", "Line", "parse_multiline"]

LINES_MAX = 1000
EVENT_BYTES_MAX = 256 * 1024
# Of all events that wait for each other: with those kept before it, still one batch.
WAITING_BYTES_MAX = 512 * 1024

# What a group of lines waits for; CLOSED takes no more.
CLOSED, OPEN, FRAMES, ENDED, GAP, CHAINED = range(6)

_TRACEBACK = "Traceback (most recent call last):"
_CHAINS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_java_goes_on = re.compile(
    r"\s+at\s|\s*Caused by:|\s+Suppressed:|\s+\.\.\. [0-9]+ (?:more|common frames omitted)",
    re.ASCII,
).match


class BadMultiline(ValueError):
    """Raised for the name of a rule that there is not. The operator's fault."""


class Line(NamedTuple):
    """A line at bytes `start` to `end` of its file. `partial`: the writer broke it here."""

    start: int
    end: int
    text: str
    stream: str = ""
    time_ns: int | None = None
    partial: bool = False


class Event(NamedTuple):
    """What belongs together. `end`: where reading can go on behind it; None when an event that
    began earlier, of another stream, ends later: then only behind that one.
    """

    end: int | None
    text: str
    stream: str
    time_ns: int | None


class Rule(NamedTuple):
    """`begin`: what a group that a line begins waits for. `follow`: the same when a line comes to
    a group that waits; None when it does not belong to it.
    """

    begin: Callable[[str], int]
    follow: Callable[[int, str], int | None]


def _python_begin(text: str) -> int:
    return FRAMES if text.endswith(_TRACEBACK) else CLOSED


def _python_follow(state: int, text: str) -> int | None:
    if state == FRAMES:
        # Frames and their source are indented; the first line that is not names the exception.
        return FRAMES if text[:1] in (" ", "\t") else ENDED
    if state == ENDED:
        return GAP if not text else None
    if state == GAP:
        return CHAINED if text in _CHAINS else None
    # Behind the chain's sentence: a blank line, then the next traceback.
    if not text:
        return CHAINED
    return FRAMES if text.endswith(_TRACEBACK) else None


def _java_follow(_: int, text: str) -> int | None:
    return OPEN if _java_goes_on(text) else None


def _indent_follow(_: int, text: str) -> int | None:
    return OPEN if text[:1] in (" ", "\t") else None


def _auto_begin(text: str) -> int:
    return FRAMES if text.endswith(_TRACEBACK) else OPEN


def _auto_follow(state: int, text: str) -> int | None:
    return _java_follow(state, text) if state == OPEN else _python_follow(state, text)


_RULES = {
    "none": Rule(lambda _: CLOSED, lambda _, __: None),
    "python": Rule(_python_begin, _python_follow),
    "java": Rule(lambda _: OPEN, _java_follow),
    "indent": Rule(lambda _: OPEN, _indent_follow),
    "auto": Rule(_auto_begin, _auto_follow),
}


def parse_multiline(text: str) -> Rule:
    """The rule that `text` names. Raises `BadMultiline`."""
    name, equals, pattern = text.partition("=")
    if name == "start" and equals:
        try:
            begins = re2.compile(pattern).search
        except re2.error as exc:
            raise BadMultiline(f"{pattern!r} is no regular expression of RE2's: {exc}") from exc
        return Rule(lambda _: OPEN, lambda _, line: None if begins(line) else OPEN)
    if text not in _RULES:
        raise BadMultiline(f"there is no rule {text!r}: {', '.join(_RULES)} or start=REGEX")
    return _RULES[text]


@dataclass(slots=True)
class _Group:
    start: int
    end: int
    stream: str
    time_ns: int | None
    state: int
    partial: bool
    parts: list[str] = field(default_factory=list)
    size: int = 0
    lines: int = 1

    @property
    def closed(self) -> bool:
        return self.state == CLOSED and not self.partial

    def add(self, text: str, line: Line) -> None:
        self.parts.append(text)
        self.size += len(text)
        self.end = line.end
        self.partial = line.partial


class Joiner:
    """Joins the lines of one file by `rule`, those of each stream apart."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        # In the order in which they began.
        self._groups: list[_Group] = []
        self._current: dict[str, _Group] = {}
        self._waiting_bytes = 0

    def feed(self, line: Line) -> None:
        """Take the next line of the file."""
        self._waiting_bytes += len(line.text)
        if len(self._groups) >= LINES_MAX or self._waiting_bytes > WAITING_BYTES_MAX:
            self._close_all()
            self._waiting_bytes = len(line.text)
        group = self._current.get(line.stream)
        if group is not None and not group.closed and self._belongs(group, line):
            return
        if group is not None:
            group.state, group.partial = CLOSED, False
        state = self._rule.begin(line.text)
        group = _Group(line.start, line.end, line.stream, line.time_ns, state, line.partial)
        group.add(line.text, line)
        self._groups.append(group)
        self._current[line.stream] = group

    def _belongs(self, group: _Group, line: Line) -> bool:
        """Add `line` to `group` if it belongs there."""
        if group.size + len(line.text) > EVENT_BYTES_MAX or group.lines >= LINES_MAX:
            return False
        if group.partial:
            group.add(line.text, line)
            return True
        state = self._rule.follow(group.state, line.text)
        if state is None:
            return False
        group.state = state
        group.lines += 1
        group.add("\n" + line.text, line)
        return True

    def take(self, *, flush: bool = False) -> list[Event]:
        """The events that are whole and safe; with `flush` all, whole or not."""
        if flush:
            self._close_all()
        safe = end = 0
        ends: list[int | None] = []
        for count, group in enumerate(self._groups, 1):
            if not group.closed:
                break
            end = max(end, group.end)
            following = self._groups[count].start if count < len(self._groups) else end
            # A later group may lie within an earlier one: two streams, interleaved.
            ends.append(end if end <= following else None)
            if end <= following:
                safe = count
        taken, self._groups = self._groups[:safe], self._groups[safe:]
        self._waiting_bytes = sum(group.size for group in self._groups)
        return [
            Event(end, "".join(group.parts).rstrip("\n"), group.stream, group.time_ns)
            for group, end in zip(taken, ends, strict=False)
        ]

    def _close_all(self) -> None:
        for group in self._groups:
            group.state, group.partial = CLOSED, False

    @property
    def waiting(self) -> bool:
        """True while lines are held back for what may follow."""
        return bool(self._groups)
