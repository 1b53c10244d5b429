"""Asking the management API of a staged balancer: any fields, any body, JSON back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from verdant.http import request

if TYPE_CHECKING:
    from balancer.stage import Stage

SPIN = {"action": "spin", "arguments": {}, "match_subdomains": False}
EMPTY = {"action": "empty", "arguments": {"code": 403}, "match_subdomains": True}


class Said(NamedTuple):
    status: int
    fields: dict[str, str]
    body: Any

    @property
    def tag(self) -> str:
        return self.fields["etag"]


def ask(stage: Stage, method: str, path: str, document: object = ..., **fields: str) -> Said:
    """`fields`: with `_` for `-`."""
    host = fields.pop("Host", "localhost:8042")
    body = b"" if document is ... else json.dumps(document).encode()
    headers = [(n.replace("_", "-").encode(), v.encode()) for n, v in fields.items()]
    if body and "Content_Type" not in fields:
        headers.append((b"Content-Type", b"application/json"))
    found = request(
        method, stage.service.management_address, path, headers=headers, body=body, host=host
    )
    names = {name.decode().lower(): value.decode() for name, value in found.headers}
    data = found.read()
    is_json = names.get("content-type") == "application/json" and data
    return Said(found.status, names, json.loads(data) if is_json else data)
