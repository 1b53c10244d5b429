"""Defaults: parameters of the stdlib that hold an original since their function was defined.

Place     patcher; installer.py calls it after the rows are in.
Promise   `def _recv(self, size, read=os.read)` of a module that was imported before the patch calls
          the green function from now on.
Not here  names in modules (checks.py); code outside the stdlib, which is only told of.

Python binds a default once, so no later assignment to `os.read` reaches it. This matters where the
stdlib itself imports first: the process that `multiprocessing` forks children from does.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["replace_in_defaults"]


def _holders() -> Iterator[type]:
    """Every class that a module of the stdlib defines."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in sys.stdlib_module_names:
            continue
        for value in list(getattr(module, "__dict__", {}).values()):
            if type(value) is type and value.__module__ == name:
                yield value


def replace_in_defaults(replacements: Mapping[int, object]) -> None:
    """Replace the originals, given by id, in the defaults of the stdlib's methods."""
    for holder in _holders():
        for value in list(vars(holder).values()):
            if type(value) is not FunctionType or not value.__defaults__:
                continue
            if any(id(default) in replacements for default in value.__defaults__):
                value.__defaults__ = tuple(
                    replacements.get(id(default), default) for default in value.__defaults__
                )
