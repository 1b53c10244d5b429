"""Rows: lines of logs and tables of counts, for people and for programs.

Place     cli. Values to text; `click.echo` takes the colours out when nobody sees them.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from verdant.logs import Gap, Row, cell_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verdant.logs.query import Table

__all__ = ["echo_gap", "echo_row", "echo_table"]

_LEVEL_COLOURS = {
    "TRACE": "bright_black",
    "DEBUG": "bright_black",
    "WARN": "yellow",
    "WARNING": "yellow",
    "ERR": "red",
    "ERROR": "red",
    "CRITICAL": "bright_red",
    "FATAL": "bright_red",
    "ALERT": "bright_red",
    "EMERG": "bright_red",
}
# What a terminal would take as an order; a line that somebody else wrote may not give it one.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 9}


def echo_row(
    row: Row,
    *,
    as_json: bool = False,
    names: Sequence[str] | None = None,
    is_context: bool = False,
    colour: bool | None = None,
) -> None:
    """One line. `names`: only these cells; `is_context`: it stands near one that was found."""
    if as_json:
        _echo_json(_document(row, names) | ({"context": True} if is_context else {}))
        return
    if names is not None:
        cells = [_shown_time(row.t) if n in ("time", "t") else str(cell_of(row, n)) for n in names]
        click.echo("  ".join(map(_clean, cells)), color=colour)
        return
    level = _clean(row.level)
    parts = [
        click.style(_shown_time(row.t), dim=True),
        click.style(f"{level:<8}", fg=_LEVEL_COLOURS.get(row.level, "green"), dim=is_context),
        click.style(_clean(row.app), bold=not is_context),
        click.style(_clean(row.msg), dim=is_context),
    ]
    fields = _fields(row)
    if isinstance(fields, dict):
        parts += [click.style(_clean(f"{n}={_text(v)}"), dim=True) for n, v in fields.items()]
    click.echo(" ".join(parts), color=colour)


def echo_gap(gap: Gap, *, as_json: bool = False) -> None:
    """The mark that stands for lines that are not shown."""
    if as_json:
        _echo_json({"gap": gap.lines if gap.lines >= 0 else None, "server": gap.server})
        return
    count = f"{gap.lines}" if gap.lines >= 0 else "an unknown number of"
    click.echo(click.style(f"--- {count} lines of {gap.server} are not shown ---", fg="magenta"))


def echo_table(table: Table, *, as_json: bool = False) -> None:
    """Counts under their columns."""
    if as_json:
        for row in table.rows:
            _echo_json(dict(zip(table.columns, row, strict=True)))
        return
    rows = [
        [
            _shown_time(int(cell)) if name == "time" and isinstance(cell, int) else _cell(cell)
            for name, cell in zip(table.columns, row, strict=True)
        ]
        for row in table.rows
    ]
    widths = [
        max(len(name), *(len(row[n]) for row in rows)) if rows else len(name)
        for n, name in enumerate(table.columns)
    ]
    for shown, is_head in ((list(table.columns), True), *((row, False) for row in rows)):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(shown, widths, strict=True))
        click.echo(click.style(line.rstrip(), bold=is_head))


def _document(row: Row, names: Sequence[str] | None) -> dict[str, object]:
    if names is not None:
        return {name: cell_of(row, name) for name in names}
    return {
        "time_ns": row.t,
        "app": row.app,
        "host": row.host,
        "level": row.level,
        "message": row.msg,
        "fields": _fields(row),
    }


def _fields(row: Row) -> object:
    try:
        return json.loads(row.fields)
    except ValueError:
        # Whoever sent it made no JSON of it: shown as it is.
        return {"fields": row.fields}


def _echo_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def _shown_time(t: int) -> str:
    try:
        moment = datetime.fromtimestamp(t / 1e9).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{t}ns"
    return moment.isoformat(sep=" ", timespec="milliseconds")


def _cell(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:g}" if isinstance(cell, float) else _clean(str(cell))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _clean(text: str) -> str:
    return text.translate(_CONTROLS)
