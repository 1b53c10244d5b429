"""Installer: put the table in place, once.

Place     patcher; the only code that assigns to attributes of stdlib modules. Users and cli/ call.
Promise   calling it again changes nothing, and may add groups. Every replacement is imported, and
          every original kept, before the first name changes.
Not here  which names (table.py); what was made or imported before (locks.py, checks.py).
"""

from __future__ import annotations

import signal as _signal
import threading
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, cast

from verdant.core.originals import get_ident
from verdant.errors import VerdantError
from verdant.green.thread import green_self
from verdant.patcher.checks import PatchWarning, replace_in_stdlib, warn_of_stale_names
from verdant.patcher.defaults import replace_in_defaults
from verdant.patcher.locks import convert_locks
from verdant.patcher.table import TABLE, Row

__all__ = [
    "PatchError",
    "is_patched",
    "monkey_patch",
    "original",
    "originals_of",
]

# From warnings.warn() up to the caller of monkey_patch(), whom a warning should name.
_STACK_LEVEL = 4

_MISSING = object()


class PatchError(VerdantError):
    """Raised when `monkey_patch()` is called where it cannot work.

    The caller's fault; call it once, first, in the main thread.
    """

    code: ClassVar[str] = "patch-place"


# What was there before, by target and attribute. Only what is installed has an entry.
_originals: dict[tuple[str, str], object] = {}


def _resolve(path: str) -> object:
    module, _, name = path.partition(":")
    found: object = import_module(module)
    return getattr(found, name) if name else found


def monkey_patch(
    *,
    socket: bool = True,
    select: bool = True,
    time: bool = True,
    thread: bool = True,
    ssl: bool = True,
    os: bool = True,
    subprocess: bool = True,
    queue: bool = True,
    signal: bool = True,
) -> None:
    """Replace the stdlib's blocking calls by ones that park the green thread. Does not park.

    Call it first, before other imports; False leaves a group as it is. Does nothing for a group
    that is in place already. Issues a `PatchWarning` per name that was imported too early, and
    raises `PatchError` outside the main thread's main program.
    """
    wanted = {
        "socket": socket,
        "select": select,
        "time": time,
        "thread": thread,
        "ssl": ssl,
        "os": os,
        "subprocess": subprocess,
        "queue": queue,
        "signal": signal,
    }
    rows = [
        row for row in TABLE if wanted[row.group] and (row.target, row.attribute) not in _originals
    ]
    if rows:
        if green_self() is not None or threading.main_thread().ident != get_ident():
            raise PatchError(
                "monkey_patch() was called in a green thread or in a native thread of its own:"
                " call it first, in the main program"
            )
        _install(rows)


def _install(rows: list[Row]) -> None:
    steps: list[tuple[Row, object, object, object]] = []
    for row in rows:
        target = _resolve(row.target)
        # A class keeps the descriptor, `_select` a staticmethod: hence its dict first.
        before = vars(target).get(row.attribute, _MISSING)
        if before is not _MISSING:
            steps.append((row, target, before, _resolve(row.replacement)))
    native_rlock = type(threading.RLock())
    for row, target, before, after in steps:
        _originals[row.target, row.attribute] = before
        setattr(target, row.attribute, after)
    # Names of the hub's own, hooks inside classes, and one module's view of another, are
    # nobody else's.
    shared = [
        step
        for step in steps
        if ":" not in step[0].target
        and "." not in step[0].target
        and not isinstance(step[2], ModuleType)
    ]
    replacements = {id(before): after for _, _, before, after in shared}
    replace_in_stdlib(replacements)
    replace_in_defaults(replacements)
    for row, _, before, after in steps:
        # The one name that is in use before anybody has looked it up.
        if row.group == "signal" and _signal.getsignal(_signal.SIGINT) is before:
            _signal.signal(_signal.SIGINT, cast("Any", after))
    stale_locks: list[str] = []
    if any(row.group == "thread" for row, *_ in steps):
        stale_locks = convert_locks(native_rlock)
    warn_of_stale_names(
        {id(before): f"{row.target}.{row.attribute}" for row, _, before, _ in shared},
        _STACK_LEVEL,
    )
    for place in stale_locks:
        warnings.warn(
            f"{place}: a green thread that waits for it stops its native thread, so monkey_patch()"
            f" must come first",
            PatchWarning,
            stacklevel=_STACK_LEVEL - 1,
        )


def is_patched(module: str) -> bool:
    """True when something in the stdlib's `module` is green, such as `"socket"`. Does not park."""
    return any(target.partition(":")[0] == module for target, _ in _originals)


def original(module: str, attribute: str) -> object:
    """What `module.attribute` was before any patch, such as `("time", "sleep")`. Does not park.

    Raises AttributeError when there is no such name.
    """
    before = _originals.get((module, attribute), _MISSING)
    return getattr(_resolve(module), attribute) if before is _MISSING else before


def originals_of(module: str) -> dict[tuple[str, str], object]:
    """What was there before the patch: by class ("" for the module itself) and attribute."""
    found: dict[tuple[str, str], object] = {}
    for (target, attribute), before in _originals.items():
        owner, _, kind = target.partition(":")
        if owner == module:
            found[kind, attribute] = before
    return found
