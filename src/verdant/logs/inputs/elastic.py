"""Elasticsearch: a `_bulk` request as records, and the answer that its clients expect.

Place     logs/inputs, pure.
Promise   `create` and `index` are lines; `update` and `delete` are refused one by one, as
          Elasticsearch refuses one: its clients look at each item. A body that cannot be read at
          all raises `BadInput`.
Source    https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk

    {"index": {"_index": "web"}}\n{"@timestamp": "…", "message": "…"}\n
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from verdant.logs.errors import BadInput
from verdant.logs.inputs.objects import record_of_object

if TYPE_CHECKING:
    from verdant.logs.record import Record

__all__ = ["PRODUCT", "Bulk", "bulk_answer", "read_bulk"]

# Its clients refuse to talk to anything that does not say this.
PRODUCT = {"X-Elastic-Product": "Elasticsearch"}

_decode = msgspec.json.Decoder(dict[str, object]).decode


class Item(NamedTuple):
    """One action: which, on what; `error`: why it was refused."""

    action: str
    kept_in: str
    id: str | None
    error: str | None = None


class Bulk(NamedTuple):
    """What a request holds: its records, and every item in order for the answer."""

    records: list[Record]
    items: list[Item]


def read_bulk(body: bytes, now_ns: int, app: str = "-", index: str = "-") -> Bulk:
    """The actions in `body`; `index` is the path's. Raises `BadInput`.

    A document that names no app is kept under its index; under `app` without one.
    """
    records: list[Record] = []
    items: list[Item] = []
    lines = iter([line for line in body.split(b"\n") if line.strip()])
    for head in lines:
        action, where = _action(head)
        name = str(where.get("_index") or index)
        identity = where.get("_id")
        item = Item(action, name, None if identity is None else str(identity))
        if action == "delete":
            items.append(item._replace(error="a log line cannot be deleted"))
            continue
        document = next(lines, None)
        if document is None:
            raise BadInput("the last action has no document behind it")
        if action == "update":
            items.append(item._replace(error="a log line cannot be updated"))
            continue
        try:
            found = _decode(document)
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            items.append(item._replace(error=f"the document is not a JSON object ({exc})"))
            continue
        records.append(record_of_object(found, now_ns, app if name == "-" else name))
        items.append(item)
    return Bulk(records, items)


def _action(line: bytes) -> tuple[str, dict[str, object]]:
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BadInput(f"an action is not a JSON object ({exc})") from exc
    name, where = next(iter(found.items()), ("", None))
    if len(found) != 1 or name not in ("create", "index", "update", "delete"):
        raise BadInput(f"not an action of _bulk: {line[:60]!r}")
    if not isinstance(where, dict):
        raise BadInput(f"an action says not where: {line[:60]!r}")
    return name, where


def bulk_answer(items: list[Item], made_id: str) -> dict[str, object]:
    """The answer for `items`, all records of which are on disk. `made_id`: begins ids we give."""
    answers = []
    for number, item in enumerate(items):
        common: dict[str, object] = {
            "_index": item.kept_in,
            "_id": item.id or f"{made_id}-{number}",
        }
        if item.error is None:
            common |= {
                "_version": 1,
                "result": "created",
                "status": 201,
                "_shards": {"total": 1, "successful": 1, "failed": 0},
            }
        else:
            fault = {"type": "illegal_argument_exception", "reason": item.error}
            common |= {"status": 400, "error": fault}
        answers.append({item.action: common})
    return {"took": 0, "errors": any(item.error for item in items), "items": answers}
