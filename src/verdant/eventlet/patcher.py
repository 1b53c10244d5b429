"""Patcher: Eventlet's calls for greening modules, one at a time or all.

Place     eventlet, over the patcher's table and its private copies.
Promise   `import_patched` leaves `sys.modules` and every module in it as they were; what the module
          imports later, inside its functions, is green too.
"""

from __future__ import annotations

import importlib
from functools import wraps
from typing import TYPE_CHECKING, Any

from verdant import patcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = [
    "import_patched",
    "inject",
    "is_monkey_patched",
    "monkey_patch",
    "original",
    "patch_function",
]

# Eventlet's names of groups, and what each means in Verdant's table.
_GROUPS: dict[str, tuple[str, ...]] = {
    "os": ("os",),
    "select": ("select",),
    "socket": ("socket", "ssl"),
    "thread": ("thread", "queue"),
    "time": ("time",),
    "subprocess": ("subprocess",),
    # Taken and without effect: files cannot be waited for, and drivers in Python need no more than
    # the sockets they stand on.
    "MySQLdb": (),
    "builtins": (),
    "psycopg": (),
}


def monkey_patch(**on: bool) -> None:
    """Make the stdlib green: everything, or only the groups that are True. Does not park.

    Groups: os, select, socket (with ssl), thread (with queue), time, subprocess. Without any True,
    all but those that are False. Raises TypeError for another name.
    """
    everything = on.pop("all", None)
    if "__builtin__" in on:
        on["builtins"] = on.pop("__builtin__")
    for name in on:
        if name not in _GROUPS:
            raise TypeError(f"monkey_patch() got an unexpected keyword argument {name!r}")
    if everything is None:
        everything = True not in on.values()
    groups = {
        group: on.get(name, everything) for name, groups in _GROUPS.items() for group in groups
    }
    patcher.monkey_patch(**groups)


def is_monkey_patched(module: ModuleType | str) -> bool:
    """True when `module`, or the one of that name, is patched now. Does not park.

    Eventlet's names of groups ("thread") mean the same.
    """
    name = module if isinstance(module, str) else module.__name__
    return patcher.is_patched({"thread": "_thread"}.get(name, name))


def import_patched(
    module_name: str,
    *additional_modules: tuple[str, ModuleType],
    **kw_additional_modules: ModuleType,
) -> ModuleType:
    """A copy of a module that finds green modules when it imports. Raises what importing raises.

    With `additional_modules`, pairs of names and modules, it finds these and no others.
    """
    return inject(module_name, None, *additional_modules, *kw_additional_modules.items())


def inject(
    module_name: str,
    new_globals: dict[str, Any] | None,
    *additional_modules: tuple[str, ModuleType],
) -> ModuleType:
    """As `import_patched`, and put the copy's names into `new_globals`."""
    if additional_modules:
        module = patcher.import_with(module_name, dict(additional_modules))
    else:
        module = patcher.import_green(module_name)
    if new_globals is not None:
        new_globals.update(
            {name: value for name, value in vars(module).items() if not name.startswith("__")}
        )
    return module


def patch_function(
    func: Callable[..., Any], *additional_modules: tuple[str, ModuleType]
) -> Callable[..., Any]:
    """`func` as if its module had been imported green: what it imports itself is too."""
    module = inject(func.__module__, None, *additional_modules)
    green: Any = module
    for part in func.__qualname__.split("."):
        green = getattr(green, part)

    @wraps(func)
    def patched(*args: Any, **kwargs: Any) -> Any:
        return green(*args, **kwargs)

    return patched


def original(modname: str) -> ModuleType:
    """The stdlib's module as it was before any patch. Does not park."""
    return patcher.native_module(modname)


def slurp_properties(
    source: ModuleType,
    destination: dict[str, Any],
    ignore: Any = (),
    srckeys: Any = None,
) -> None:
    """Put the names of `source` (`srckeys`, or its `__all__`) into `destination`."""
    keys = importlib.import_module(source.__name__).__all__ if srckeys is None else srckeys
    for name in keys:
        if not name.startswith("__") and name not in ignore:
            destination[name] = getattr(source, name)
