"""Tree: what a query says, as values.

Place     logs/query, pure. syntax.py makes it; filters.py, pipes.py and skipping.py read it.

    Query ─ where   And · Or · Not over Text, Pattern, Compare
          ├ bounds  since, until, limit
          └ pipes   Count · Percentiles · Fields · Head · Sort, in the order written
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "And",
    "Bucket",
    "Compare",
    "Count",
    "Fields",
    "Head",
    "Key",
    "Node",
    "Not",
    "Operator",
    "Or",
    "Pattern",
    "Percentiles",
    "Pipe",
    "Query",
    "Sort",
    "Text",
]

Operator = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Text:
    """The message has this text in it, whatever its case."""

    value: str
    position: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """RE2's `pattern` is found in the field `name`; None is the message."""

    name: str | None
    pattern: str
    position: int


@dataclass(frozen=True, slots=True)
class Compare:
    """The field `name` compared with `value`; `wild`: each `*` in it is any text."""

    name: str
    operator: Operator
    value: str
    position: int
    wild: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """All of `items` hold."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of `items` holds."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """`item` does not hold; a line that lacks its field meets that too."""

    item: Node


Node: TypeAlias = And | Or | Not | Text | Pattern | Compare


@dataclass(frozen=True, slots=True)
class Bucket:
    """Lines in the same stretch of `span_ns` nanoseconds; `text`: as it was written."""

    span_ns: int
    text: str


# What lines are grouped by: a field's name, or a stretch of time.
Key: TypeAlias = str | Bucket


@dataclass(frozen=True, slots=True)
class Count:
    """Lines of each group. `filled`: stretches of time without lines are shown as 0; `present`:
    lines that lack the first key are left out."""

    keys: tuple[Key, ...] = ()
    filled: bool = False
    present: bool = False


@dataclass(frozen=True, slots=True)
class Percentiles:
    """`percents` of the numbers in field `name`, for each group."""

    percents: tuple[float, ...]
    name: str
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """Only these columns."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """Only the first `count` rows."""

    count: int


@dataclass(frozen=True, slots=True)
class Sort:
    """By each name in turn; True beside it: the largest first."""

    keys: tuple[tuple[str, bool], ...]
    position: int = 0


Pipe: TypeAlias = Count | Percentiles | Fields | Head | Sort


@dataclass(frozen=True, slots=True)
class Query:
    """The whole query. `since`, `until`: a time as it was written, and where it stands."""

    where: Node | None = None
    since: tuple[str, int] | None = None
    until: tuple[str, int] | None = None
    limit: int | None = None
    pipes: tuple[Pipe, ...] = ()
