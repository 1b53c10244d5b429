"""Cursor: a place in a query's text, and what may stand there.

Place     logs/query, pure. syntax.py and stages.py read through it.
Promise   what is not there raises `BadQuery` at the column where it was looked for, in a sentence
          that says what was expected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from verdant.logs.errors import BadQuery

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Cursor", "pointed_at"]

_space = re.compile(r"\s*").match
_quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match
_pattern = re.compile(r"/((?:[^/\\]|\\.)+)/", re.DOTALL).match


class Cursor:
    """Reads `text` from left to right; `position` is the column that is read next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def skip_blanks(self) -> None:
        """Go to the next character that is not blank."""
        found = _space(self.text, self.position)
        self.position = found.end() if found else self.position

    @property
    def here(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.position : self.position + 1]

    def take(self, literal: str) -> bool:
        """Go past `literal` when it stands here."""
        if self.text.startswith(literal, self.position):
            self.position += len(literal)
            return True
        return False

    def match(self, expression: re.Pattern[str]) -> str | None:
        """Go past what matches `expression` here and return it; None when nothing does."""
        found = expression.match(self.text, self.position)
        if found is None:
            return None
        self.position = found.end()
        return found[0]

    def quoted(self) -> str:
        """Go past text in quotes; a backslash stands for the character behind it."""
        found = _quoted(self.text, self.position)
        if found is None:
            self.fail('this quote is not closed: expected another " further on')
        self.position = found.end()
        return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL)

    def pattern(self) -> str:
        """Go past a pattern between slashes; a slash inside is written with a backslash."""
        found = _pattern(self.text, self.position)
        if found is None:
            self.fail(
                "this pattern is not closed: expected a / further on (text: put it in quotes)"
            )
        self.position = found.end()
        return found[1].replace("\\/", "/")

    def fail(self, sentence: str, position: int | None = None) -> NoReturn:
        """Raise `BadQuery` here, or at `position`."""
        raise BadQuery(sentence, self.position if position is None else position)


def pointed_at(text: str, position: int) -> str:
    """`text` on one line and, below it, a caret under the character at `position`."""
    shown = "".join(" " if character.isspace() else character for character in text)
    return f"{shown}\n{' ' * min(position, len(text))}^"
