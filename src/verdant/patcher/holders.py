"""Holders: every object that has a native lock, found through the garbage collector.

Place     patcher; locks.py replaces what is found here. Changes holders, knows nothing of locks.
Promise   no holder of a searched type is passed over: modules, instances with a `__dict__` or with
          slots, classes, lists, dicts, closures. Those that cannot be changed are described.
Not here  which locks may be replaced, and by what (locks.py).

The collector lists what may contain others and tells their contents without running any code of
theirs; 25,000 objects take it 25 ms, those of a fresh interpreter two.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import CellType, FrameType, MemberDescriptorType, ModuleType
from typing import Any

__all__ = ["Replace", "describe", "find_holders", "is_stdlib", "replace_in"]

# What to put in place of an object: another one, or the same to leave it.
Replace = Callable[[Any], object]

# Objects asked at once: most have nothing, and one call tells so for all of these.
ASKED_AT_ONCE = 256


def find_holders(kinds: frozenset[type]) -> list[Any]:
    """Every tracked object that refers to an instance of one of `kinds`, frames left out."""
    found: list[Any] = []
    everything = gc.get_objects()
    for start in range(0, len(everything), ASKED_AT_ONCE):
        asked = everything[start : start + ASKED_AT_ONCE]
        if kinds.isdisjoint(map(type, gc.get_referents(*asked))):
            continue
        found.extend(
            holder
            for holder in asked
            if type(holder) is not FrameType
            and not kinds.isdisjoint(map(type, gc.get_referents(holder)))
        )
    return found


def _owner(namespace: dict[str, Any]) -> Any:  # noqa: ANN401 - any object
    """The module, class or instance whose names `namespace` has; None for a plain dict."""
    for referrer in gc.get_referrers(namespace):
        if type(referrer) is FrameType or referrer is namespace:
            continue
        if isinstance(referrer, type):
            # A class shows its names only through a proxy, whose one content they are.
            if any(n is namespace for n in gc.get_referents(vars(referrer))):
                return referrer
        elif getattr(referrer, "__dict__", None) is namespace:
            return referrer
    return None


def replace_in(holder: Any, replace: Replace) -> None:  # noqa: ANN401 - any object
    """Replace the contents of `holder` for which `replace` has another object."""
    if isinstance(holder, dict):
        owner = _owner(holder)
        for key, value in list(holder.items()):
            after = replace(value)
            if after is not value:
                if isinstance(owner, type):
                    # Written into its dict, the interpreter's cache would not hear of it.
                    setattr(owner, key, after)
                else:
                    holder[key] = after
    elif isinstance(holder, list):
        for index, value in enumerate(holder):
            holder[index] = replace(value)
    elif isinstance(holder, CellType):
        holder.cell_contents = replace(holder.cell_contents)
    elif not isinstance(holder, type):
        _replace_attributes(holder, replace)


def _replace_attributes(holder: Any, replace: Replace) -> None:  # noqa: ANN401 - any object
    names = getattr(holder, "__dict__", None)
    if type(names) is dict:
        for name, value in list(names.items()):
            names[name] = replace(value)
    for base in type(holder).__mro__:
        for slot in vars(base).values():
            if isinstance(slot, MemberDescriptorType):
                try:
                    value = slot.__get__(holder)
                    after = replace(value)
                    if after is not value:
                        slot.__set__(holder, after)
                except (AttributeError, TypeError):
                    # Never filled, or read-only as in C's classes.
                    continue


def describe(holder: Any, content: object) -> tuple[str, str]:  # noqa: ANN401 - any object
    """Where `content` is: the name of the module it belongs to, and a phrase for people."""
    found = _place(holder, content)
    if found is not None:
        return found
    # A container or a closure: whoever has it tells more.
    for referrer in gc.get_referrers(holder):
        if isinstance(referrer, tuple) and type(holder) is CellType:
            for function in gc.get_referrers(referrer):
                if getattr(function, "__closure__", None) is referrer:
                    return _label(function, "")
        elif type(referrer) is not FrameType:
            found = _place(referrer, holder)
            if found is not None:
                return found
    return "", f"a {type(holder).__name__}"


def _place(holder: Any, content: object) -> tuple[str, str] | None:  # noqa: ANN401 - any object
    if isinstance(holder, dict):
        owner = _owner(holder)
        if owner is None:
            return None
        name = next((key for key, value in holder.items() if value is content), "?")
        return _label(owner, f".{name}")
    if isinstance(holder, list | tuple | set | frozenset | CellType):
        return None
    names = getattr(holder, "__dict__", None) or {}
    found = [f".{key}" for key, value in list(names.items()) if value is content]
    return _label(holder, found[0] if found else "")


def _label(owner: Any, attribute: str) -> tuple[str, str]:  # noqa: ANN401 - any object
    if isinstance(owner, ModuleType):
        return owner.__name__, owner.__name__ + attribute
    named = owner if hasattr(owner, "__qualname__") else type(owner)
    module = getattr(named, "__module__", None) or ""
    return module, f"{module}.{named.__qualname__}{attribute}"


def is_stdlib(module: str) -> bool:
    """True for the name of a module of the stdlib, or of one that stands below it."""
    return module.partition(".")[0] in sys.stdlib_module_names
