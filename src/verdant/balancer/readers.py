"""Readers: JSON values of a rule's arguments, checked and brought into one form.

Place     balancer, pure; rules.py and proxy_rule.py make their tables of arguments with these.
Promise   a reader returns a value of one type or raises ValueError with the end of a sentence that
          begins with the argument's name. Text as a command line sends it is read as well.
Not here  which arguments there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Argument", "echo", "one_of", "seconds", "share", "whole"]

# How much of a bad value a message repeats.
ECHO_CHARACTERS_MAX = 64

_whole_number = re.compile(r"[0-9]{1,9}").fullmatch
_decimal_number = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?").fullmatch


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an action: its name in JSON, its field here, and how to read it.

    `part`: the attribute of the action's arguments whose field it is; "" for their own.
    """

    name: str
    field: str
    read: Callable[[object], object]
    part: str = ""


def echo(value: object) -> str:
    """`value` for a message, on one line and cut short: it came from outside."""
    text = value if isinstance(value, str) else type(value).__name__
    if len(text) > ECHO_CHARACTERS_MAX:
        text = text[:ECHO_CHARACTERS_MAX] + "..."
    return ascii(text)


def whole(low: int, high: int) -> Callable[[object], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(value: object) -> int:
        if isinstance(value, str) and _whole_number(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return read


def _number(value: object, high: float, what: str) -> float:
    if isinstance(value, str) and _decimal_number(value):
        value = float(value)
    # NaN fails the comparison; a whole number too large for a float never reaches float().
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= high:
        raise ValueError(f"must be {what} from 0 to {high:g}")
    return float(value)


def seconds(high: float) -> Callable[[object], float]:
    """A reader of seconds from 0 to `high`."""
    return lambda value: _number(value, high, "a number of seconds")


def share(value: object) -> float:
    """A fraction from 0 to 1. Raises ValueError."""
    return _number(value, 1.0, "a fraction")


def one_of(*names: str) -> Callable[[object], str]:
    """A reader of one of these words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    return read
