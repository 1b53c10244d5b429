"""JSON lines: an object a line, as records.

Place     logs/inputs, pure.
Promise   all lines or `BadInput` that names the line: nothing is stored of a body that is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from verdant.logs.errors import BadInput
from verdant.logs.inputs.objects import record_of_object

if TYPE_CHECKING:
    from verdant.logs.record import Record

__all__ = ["read_json_lines"]

_decode = msgspec.json.Decoder(dict[str, object]).decode


def read_json_lines(body: bytes, now_ns: int, app: str = "-") -> list[Record]:
    """The records in `body`; empty lines are passed over. Raises `BadInput`."""
    records = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found = _decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            raise BadInput(f"line {number} is not a JSON object ({exc})") from exc
        records.append(record_of_object(found, now_ns, app))
    return records
