"""Syntax: the text of a query to its tree.

Place     logs/query, pure.
Promise   any text gives a `Query` or a `BadQuery` that points at the mistake and says what was
          expected there.
Not here  what stands behind a | (stages.py), what a term finds (filters.py).

    query   where [ "|" stage ]...
    where   all [ "or" all ]...
    all     [ "and" ] one ...           side by side means that all must hold
    one     ( "not" | "-" ) one  |  "(" where ")"  |  term
    term    word  |  "text"  |  /pattern/  |  name operator value
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from verdant.logs.query.cursor import Cursor
from verdant.logs.query.stages import parse_stages
from verdant.logs.query.tree import And, Compare, Node, Not, Operator, Or, Pattern, Query, Text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LIMIT_MAX", "parse_query"]

# What a person writes, and a program with a list of names in it.
QUERY_CHARS_MAX = 4096
TERMS_MAX = 64
# Brackets in brackets: far below what the stack of this process carries.
DEPTH_MAX = 16
LIMIT_MAX = 50_000

_name = re.compile(r"[A-Za-z_@][A-Za-z0-9_.@-]*(?=(?:=~|!~|!=|<=|>=|=|<|>))")
_operator = re.compile(r"=~|!~|!=|<=|>=|=|<|>")
_bare = re.compile(r'[^\s"|()]+')
_keyword = re.compile(r"(?:and|or|not)(?=[\s()]|$)")

_BOUNDS = ("since", "until", "limit", "time")


def parse_query(text: str) -> Query:
    """The query that `text` says. Raises `BadQuery`."""
    cursor = Cursor(text)
    if len(text) > QUERY_CHARS_MAX:
        cursor.fail(f"a query has at most {QUERY_CHARS_MAX} characters", QUERY_CHARS_MAX)
    parser = _Parser(cursor)
    where = parser.either(0)
    cursor.skip_blanks()
    pipes = parse_stages(cursor) if cursor.take("|") else ()
    if cursor.here:
        cursor.fail(f"nothing is open that {cursor.here!r} could close: expected a term, | or end")
    bounds = parser.bounds
    limit = int(bounds["limit"][0]) if "limit" in bounds else None
    return Query(where, bounds.get("since"), bounds.get("until"), limit, pipes)


class _Parser:
    """Recursive descent over the part before the first |."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.bounds: dict[str, tuple[str, int]] = {}
        self._terms = 0

    def either(self, depth: int) -> Node | None:
        """Terms between `or`. None when there are none at all."""
        if depth > DEPTH_MAX:
            self.cursor.fail(f"brackets are at most {DEPTH_MAX} deep")
        start = self.cursor.position
        first = self._all(depth)
        found = [first]
        while self._take_word("or"):
            position = self.cursor.position
            found.append(self._all(depth))
            if found[-1] is None:
                self.cursor.fail("expected a term behind `or`", position)
        if len(found) > 1 and first is None:
            self.cursor.fail("expected a term before `or`", start)
        nodes = tuple(node for node in found if node is not None)
        return Or(nodes) if len(nodes) > 1 else first

    def _all(self, depth: int) -> Node | None:
        nodes: list[Node] = []
        while True:
            self.cursor.skip_blanks()
            if not self.cursor.here or self.cursor.here in ")|" or self._word_is("or"):
                break
            joined = self._take_word("and")
            if joined and not nodes:
                self.cursor.fail("expected a term before `and`", self.cursor.position - 3)
            node = self._one(depth)
            if node is not None:
                nodes.append(node)
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes)) if nodes else None

    def _one(self, depth: int) -> Node | None:
        cursor = self.cursor
        cursor.skip_blanks()
        start = cursor.position
        if self._take_word("not") or (cursor.here == "-" and cursor.take("-")):
            if depth >= DEPTH_MAX:
                cursor.fail(f"denials are at most {DEPTH_MAX} deep", start)
            if not cursor.here or (cursor.text[start] == "-" and cursor.here.isspace()):
                cursor.fail("expected a term to deny")
            node = self._one(depth + 1)
            if node is None:
                cursor.fail("a bound cannot be denied: expected a term", start)
            return Not(node)
        if cursor.take("("):
            node = self.either(depth + 1)
            if not cursor.take(")"):
                cursor.fail("this bracket is not closed: expected a ) further on", start)
            if node is None:
                cursor.fail("expected a term between the brackets", start)
            return node
        return self._term(depth)

    def _term(self, depth: int) -> Node | None:
        cursor = self.cursor
        start = cursor.position
        self._terms += 1
        if self._terms > TERMS_MAX:
            cursor.fail(f"a query has at most {TERMS_MAX} terms")
        if (name := cursor.match(_name)) is not None:
            return self._comparison(name, start, depth)
        node: Node
        if cursor.here == '"':
            node = Text(cursor.quoted(), start)
        elif cursor.here == "/":
            node = Pattern(None, cursor.pattern(), start)
        elif (word := cursor.match(_bare)) is not None:
            node = Text(word, start)
        else:
            cursor.fail(f"a term cannot begin with {cursor.here!r}: expected a word or a field"
                        if cursor.here else "expected a term")  # fmt: skip
        self._end_of_term()
        return node

    def _end_of_term(self) -> None:
        here = self.cursor.here
        if here and not here.isspace() and here not in ")|":
            self.cursor.fail("terms are separated by blanks: expected one here")

    def _comparison(self, name: str, start: int, depth: int) -> Node | None:
        cursor = self.cursor
        operator = cursor.match(_operator) or ""
        position = cursor.position
        if operator in ("=~", "!~"):
            if cursor.here not in ("/", '"'):
                cursor.fail(
                    f"expected a pattern behind {operator}, between slashes: /time(d|-)out/"
                )
            pattern = cursor.pattern() if cursor.here == "/" else cursor.quoted()
            self._end_of_term()
            found = Pattern(name, pattern, position)
            return Not(found) if operator == "!~" else found
        is_quoted = cursor.here == '"'
        value = cursor.quoted() if is_quoted else cursor.match(_bare) or ""
        if not value and not is_quoted:
            cursor.fail(f'expected a value behind {name}{operator} (nothing at all is "")')
        self._end_of_term()
        if name in _BOUNDS:
            if depth:
                cursor.fail(
                    f"{name} bounds the whole query: expected it outside of brackets", start
                )
            self._bound(name, operator, value, position)
            return None
        wild = "*" in value and not is_quoted
        if wild and operator not in ("=", "!="):
            cursor.fail("a * can be compared with = and != only", position)
        return Compare(name, cast("Operator", operator), value, position, wild)

    def _bound(self, name: str, operator: str, value: str, position: int) -> None:
        fail: Callable[..., object] = self.cursor.fail
        if operator != "=":
            fail(f"expected = behind {name}", position - len(operator))
        if name == "limit":
            if not (value.isascii() and value.isdigit() and 0 < int(value[:9]) <= LIMIT_MAX):
                fail(f"expected a number from 1 to {LIMIT_MAX} behind limit=", position)
        elif name == "time":
            since, dots, until = value.partition("..")
            if not dots or not (since or until):
                fail("expected FROM..TO behind time=, as in time=2h..1h", position)
            for part, bound in (("since", since), ("until", until)):
                if bound:
                    self._set(part, bound, position)
            return
        self._set(name, value, position)

    def _set(self, name: str, value: str, position: int) -> None:
        if name in self.bounds:
            self.cursor.fail(f"{name} is given twice: expected it once", position)
        self.bounds[name] = (value, position)

    def _word_is(self, word: str) -> bool:
        found = _keyword.match(self.cursor.text, self.cursor.position)
        return found is not None and found[0] == word

    def _take_word(self, word: str) -> bool:
        self.cursor.skip_blanks()
        return self._word_is(word) and self.cursor.take(word)
