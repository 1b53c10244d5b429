"""Scanning: what a module imports, read from its compiled code.

Place     patcher, pure; importing.py decides by it which modules need a copy of their own.
Promise   every `import` statement is found, those inside functions and classes too; nothing is
          executed.
Not here  imports by name at run time (`importlib.import_module`), which no reader can foresee.
"""

from __future__ import annotations

import dis
from importlib.util import resolve_name
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["imported_names"]


def imported_names(code: CodeType, package: str) -> frozenset[str]:
    """The absolute names that `code`, of a module in `package`, may import. Does not park.

    `from a import b` gives "a" and "a.b": only importing would tell whether `b` is a module.
    """
    names: set[str] = set()
    for block in _blocks(code):
        level: object = 0
        fromlist: object = None
        for step in dis.get_instructions(block):
            if step.opname == "IMPORT_NAME":
                names.update(_absolute(str(step.argval), package, level, fromlist))
            # The two constants before an import are its level and its list.
            level, fromlist = fromlist, step.argval
    return frozenset(names)


def _blocks(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _blocks(constant)


def _absolute(name: str, package: str, level: object, fromlist: object) -> Iterator[str]:
    if isinstance(level, int) and level > 0:
        try:
            name = resolve_name("." * level + name, package)
        except ImportError:
            # It would fail when it is run, too.
            return
    yield name
    if isinstance(fromlist, tuple):
        for attribute in fromlist:
            yield f"{name}.{attribute}"
