"""Twins: whole stdlib modules that are green, beside the real ones, which stay as they are.

Place     patcher, on table.py; importing.py gives them to modules that ask for the stdlib's.
Promise   a twin has every name of its module and the stdlib's own objects under them, but for what
          table.py replaces; the stdlib's functions in it (`create_connection`, `run`,
          `create_default_context`) see the green names. No attribute of a real module changes.
Not here  `threading` and `queue`, whose classes have to be made anew: importing.py runs their code
          again over the twins of what they import.

    socket ──▶ names copied ──▶ functions bound to the copy ──▶ rows of the table ──▶ twin

A copy of the names, not of the code: enums, exceptions and constants stay the stdlib's very own, so
`except socket.timeout` and `family is AF_INET` mean the same on both sides.
"""

from __future__ import annotations

from importlib import import_module
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from verdant.patcher.installer import originals_of
from verdant.patcher.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COPIED", "RUN_AGAIN", "green_replacements", "make_twin", "native_replacements"]

# The rooms of `verdant.green` behind each module whose names are copied.
COPIED: dict[str, tuple[str, ...]] = {
    "_thread": ("thread",),
    "os": ("os",),
    "select": ("select",),
    "selectors": ("selectors",),
    "socket": ("socket", "dns"),
    "ssl": ("ssl",),
    "subprocess": ("subprocess",),
    "time": ("time",),
}

RUN_AGAIN = ("threading", "queue")


def _resolve(path: str) -> Any:  # noqa: ANN401 - any replacement
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def make_twin(
    real: ModuleType,
    replacements: dict[str, object],
    twin_of: Callable[[str], ModuleType | None],
    builtins: dict[str, Any],
) -> ModuleType:
    """A new twin of the stdlib's module `real` with some names replaced. Does not park.

    `twin_of(name)` gives the twin of a module that this one has imported; `builtins` is what the
    twin's functions see as such, so that what they import late is a twin too.
    """
    name = real.__name__
    twin = ModuleType(name, real.__doc__)
    names = vars(twin)
    names.update(vars(real))
    names["__builtins__"] = builtins
    swapped: dict[int, object] = {}
    for value in vars(real).values():
        if isinstance(value, FunctionType) and value.__globals__ is vars(real):
            swapped[id(value)] = _rebound(value, names)
    for other in _sources(real):
        _swap(other, twin_of(other.__name__), swapped)
    for attribute, replacement in replacements.items():
        swapped[id(vars(real)[attribute])] = replacement
    for attribute, value in list(names.items()):
        if id(value) in swapped and not attribute.startswith("__"):
            names[attribute] = swapped[id(value)]
    return twin


def _sources(real: ModuleType) -> list[ModuleType]:
    sources = [value for value in vars(real).values() if isinstance(value, ModuleType)]
    if real.__name__ == "ssl":
        # It takes names from there and does not keep the module.
        sources.append(import_module("socket"))
    return sources


def _swap(real: ModuleType, twin: ModuleType | None, swapped: dict[int, object]) -> None:
    if twin is None or twin is real:
        return
    swapped[id(real)] = twin
    for attribute, original in vars(real).items():
        green = vars(twin).get(attribute)
        if callable(original) and green is not None and green is not original:
            swapped.setdefault(id(original), green)


def _rebound(function: FunctionType, names: dict[str, Any]) -> FunctionType:
    twin = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__qualname__ = function.__qualname__
    twin.__doc__ = function.__doc__
    twin.__dict__.update(vars(function))
    return twin


def green_replacements(real: ModuleType) -> dict[str, object]:
    """What is green in place of what, in a module of `COPIED`, by attribute. Does not park."""
    found: dict[str, object] = {}
    hooks: dict[str, dict[str, object]] = {}
    for row in TABLE:
        module, _, kind = row.target.partition(":")
        if module == real.__name__:
            names = hooks.setdefault(kind, {}) if kind else found
            names[row.attribute] = _resolve(row.replacement)
    found.update(_with_hooks(real, hooks))
    for room in COPIED[real.__name__]:
        green = import_module(f"verdant.green.{room}")
        found.update({name: getattr(green, name) for name in green.__all__})
    return {name: value for name, value in found.items() if hasattr(real, name)}


def native_replacements(real: ModuleType) -> dict[str, object]:
    """What was there before the patch, in a module of `COPIED`, by attribute. Does not park."""
    found: dict[str, object] = {}
    hooks: dict[str, dict[str, object]] = {}
    for (kind, attribute), before in originals_of(real.__name__).items():
        names = hooks.setdefault(kind, {}) if kind else found
        names[attribute] = before
    found.update(_with_hooks(real, hooks))
    return found


def _with_hooks(real: ModuleType, hooks: dict[str, dict[str, object]]) -> dict[str, object]:
    # A class that the patch gives a hook has a subclass with that hook instead.
    made: dict[str, object] = {}
    for kind, attributes in hooks.items():
        base = getattr(real, kind, None)
        if base is not None:
            body = {"__module__": real.__name__, "__doc__": base.__doc__, **attributes}
            made[kind] = type(kind, (base,), body)
    return made
