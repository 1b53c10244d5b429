"""Checks: who imported what too early?

Place     patcher; installer.py calls it after the rows are in.
Promise   every module outside the stdlib that holds an original by name (`from socket import
          socket`, before the patch) is named, with the attribute. Nothing of theirs is changed.
          The stdlib's own copies are replaced.
Not here  what may be converted (locks.py).

Foreign modules are told of, not mended: a name in a module may be meant to stay native (a library
that keeps the originals on purpose does just this), and only its author knows.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

__all__ = ["PatchWarning", "replace_in_stdlib", "warn_of_stale_names"]


class PatchWarning(UserWarning):
    """Issued when a module was imported too early and still holds a function that blocks.

    The program's order of imports; call `monkey_patch()` first, or start it by `verdant run`.
    """


def _modules() -> Iterator[tuple[str, ModuleType, bool]]:
    for name, module in list(sys.modules.items()):
        # A package may put anything there; without a plain dict there are no globals to look at.
        if type(getattr(module, "__dict__", None)) is not dict:
            continue
        root = name.partition(".")[0]
        if root not in ("verdant", "greenlet"):
            yield name, module, root in sys.stdlib_module_names


def replace_in_stdlib(replacements: Mapping[int, object]) -> None:
    """Replace the originals, given by id, wherever a module of the stdlib holds one by name."""
    for _, module, is_stdlib in _modules():
        if is_stdlib:
            names = vars(module)
            for attribute, value in list(names.items()):
                if id(value) in replacements:
                    names[attribute] = replacements[id(value)]


def warn_of_stale_names(originals: Mapping[int, str], stacklevel: int) -> None:
    """Issue a `PatchWarning` per name outside the stdlib that is one of `originals`, by id."""
    for name, module, is_stdlib in _modules():
        if is_stdlib:
            continue
        for attribute, value in list(vars(module).items()):
            if id(value) in originals:
                warnings.warn(
                    f"{name}.{attribute} is still the blocking {originals[id(value)]}:"
                    f" it was imported before monkey_patch(), which must come first",
                    PatchWarning,
                    stacklevel=stacklevel,
                )
