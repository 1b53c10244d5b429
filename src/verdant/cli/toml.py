"""TOML: a configuration file's text as typed values, or an error that names line and key.

Place     cli, pure: text in, values out. The rooms say what their tables hold (msgspec types).
Promise   whatever is wrong with a text is one `ConfigurationError` that begins with
          `FILE:LINE: KEY: `, and says what was expected; what is unknown is refused, never ignored.
Not here  finding and opening files, exit codes (main.py).

msgspec names a fault by its path (`$.balancer.bind[0]`), tomllib keeps no lines. So the line is
sought afterwards: the text is parsed again and again, a line longer each time, until the key is
there; the key begins where the last prefix without it ended. That is the grammar's own word on
dotted keys, tables and multi-line values, and costs something only when there is an error.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import types
import typing
from typing import TypeVar

import msgspec

from verdant.errors import ConfigurationError

__all__ = ["decode_toml"]

T = TypeVar("T")

# Seeking a line is quadratic in lines; a longer file gets its error without a line.
LINES_SOUGHT_MAX = 1000
# Real files have a few kilobytes; this bounds what a wrong path (a log file) costs.
TEXT_CHARACTERS_MAX = 1024 * 1024

_fault = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL).fullmatch
_path_part = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]|\[\.\.\.\]").finditer
_named_key = re.compile(r"Object (contains unknown|missing required) field `(.*)`").fullmatch
# How __post_init__ of a table names the field that it refuses: "bind: it is ...".
_own_check = re.compile(r"([a-z][a-z0-9_]*): (.*)", re.DOTALL).fullmatch
_tomllib_place = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)").fullmatch

Path = list[str | int]


def decode_toml(text: str, filename: str, type: type[T]) -> T:  # noqa: A002 - msgspec's own name
    """The value of `type` that `text` says.

    `filename` is for messages only. Raises `ConfigurationError`. Does not park.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise ConfigurationError(
            f"{filename}: longer than {TEXT_CHARACTERS_MAX} characters; is this the right file?"
        )
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ConfigurationError(_syntax_message(text, filename, exc)) from exc
    try:
        return msgspec.convert(data, type)
    except msgspec.ValidationError as exc:
        raise ConfigurationError(_value_message(text, filename, type, str(exc))) from exc


def _syntax_message(text: str, filename: str, exc: Exception) -> str:
    match = _tomllib_place(str(exc))
    if match is None:
        return f"{filename}: not TOML: {exc}"
    line = int(match[2]) if match[2] else max(1, len(text.splitlines()))
    return f"{filename}:{line}: not TOML: {match[1]}"


def _value_message(text: str, filename: str, kind: object, fault: str) -> str:
    match = _fault(fault)
    what, path = (match["what"], _parse_path(match["path"] or "")) if match else (fault, [])
    named = _named_key(what)
    if named is not None and named[1] == "contains unknown":
        known = _fields_of(kind, path)
        what = f"there is no such key; {_suggestion(named[2], known)}"
        path.append(named[2])
    elif named is not None:
        # The key is nowhere in the text: the table that lacks it has a line.
        line = _line_of(text, path)
        return _joined(filename, line, [*path, named[2]], "this key is missing; write it")
    elif own := _own_check(what):
        path.append(own[1])
        what = own[2]
    else:
        what = what[:1].lower() + what[1:]
    return _joined(filename, _line_of(text, path), path, what)


def _joined(filename: str, line: int | None, path: Path, what: str) -> str:
    place = filename if line is None else f"{filename}:{line}"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{place}: {key.removeprefix('.')}: {what}" if key else f"{place}: {what}"


def _parse_path(path: str) -> Path:
    parts: Path = []
    for match in _path_part(path):
        if match[1] is None and match[2] is None:
            # `[...]` stands for a key of a free table: msgspec does not say which.
            break
        parts.append(match[1] if match[1] is not None else int(match[2]))
    return parts


def _suggestion(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"the keys here are {', '.join(known)}" if known else "remove it"


def _fields_of(kind: object, path: Path) -> list[str]:
    """The keys of the table that `path` leads to in `kind`; [] for what is no struct."""
    for part in path:
        kind = _struct_in(kind)
        if kind is None:
            return []
        if isinstance(part, str):
            kind = typing.get_type_hints(kind).get(_field_name(kind, part))
    struct = _struct_in(kind)
    return [] if struct is None else [field.encode_name for field in msgspec.structs.fields(struct)]


def _field_name(struct: type[msgspec.Struct], key: str) -> str:
    names = {field.encode_name: field.name for field in msgspec.structs.fields(struct)}
    return names.get(key, key)


def _struct_in(kind: object) -> type[msgspec.Struct] | None:
    """The struct that `kind` is or holds: `S`, `S | None`, `list[S]`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    if isinstance(kind, types.GenericAlias | types.UnionType) or typing.get_args(kind):
        for argument in typing.get_args(kind):
            found = _struct_in(argument)
            if found is not None:
                return found
    return None


def _line_of(text: str, path: Path) -> int | None:
    """The line, from 1, on which the value at `path` begins; None if it cannot be told."""
    lines = text.split("\n")
    if not path or len(lines) > LINES_SOUGHT_MAX:
        return None
    begin = 0
    for end in range(1, len(lines) + 1):
        try:
            data = tomllib.loads("\n".join(lines[:end]) + "\n")
        except tomllib.TOMLDecodeError:
            # In the middle of a value of several lines.
            continue
        if _has(data, path):
            return begin + 1
        begin = end
    return None


def _has(data: object, path: Path) -> bool:
    for part in path:
        if isinstance(part, int):
            # A list shows up whole, or by [[tables]], one at a time.
            if not isinstance(data, list) or part >= len(data):
                return False
            data = data[part]
        else:
            if not isinstance(data, dict) or part not in data:
                return False
            data = data[part]
    return True
