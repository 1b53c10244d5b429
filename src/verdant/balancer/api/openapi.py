"""OpenAPI: the description of /v1, as data (OpenAPI 3.0.3).

Place     balancer/api, pure. GET /v1/openapi.json has it; a test lets a client made from it find
          answers that it does not describe.
Not here  Mantrid's interface, which its own documentation describes.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DOCUMENT"]

Json = dict[str, Any]

ACTIONS = ["empty", "proxy", "redirect", "spin", "static", "no_hosts", "unknown"]


def _object(properties: Json, *, optional: tuple[str, ...] = (), closed: bool = True) -> Json:
    made: Json = {"type": "object", "properties": properties}
    required = [name for name in properties if name not in optional]
    if required:
        made["required"] = required
    if closed:
        made["additionalProperties"] = False
    return made


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _map_of(schema: Json) -> Json:
    return {"type": "object", "additionalProperties": schema}


_COUNT: Json = {"type": "integer", "minimum": 0}
_TIME: Json = {"type": "string", "format": "date-time"}
_RULE_PROPERTIES: Json = {
    "action": {"type": "string", "enum": ACTIONS},
    "arguments": {"type": "object"},
    "match_subdomains": {"type": "boolean"},
}

_SCHEMAS: Json = {
    "Rule": _object(_RULE_PROPERTIES, optional=("arguments", "match_subdomains")),
    "Counts": _object(
        dict.fromkeys(
            ("open_requests", "completed_requests", "bytes_sent", "bytes_received"), _COUNT
        )
    ),
    "Host": _object(
        {
            "host": {"type": "string"},
            "rule": _ref("Rule"),
            "etag": {"type": "string"},
            "stats": _ref("Counts"),
            "held_requests": _COUNT,
            "last_activity": {**_TIME, "nullable": True},
            "idle_since": _TIME,
        }
    ),
    "Page": _object(
        {
            "version": _COUNT,
            "count": _COUNT,
            "hosts": {"type": "array", "items": _ref("Host")},
            "next": {"type": "string", "nullable": True},
        }
    ),
    "Edit": _object(
        {
            "put": _map_of(_ref("Rule")),
            "delete": {"type": "array", "items": {"type": "string"}},
            "if": _map_of({"type": "string", "nullable": True}),
        },
        optional=("put", "delete", "if"),
    ),
    "Applied": _object(
        {"changed": {"type": "boolean"}, "put": _COUNT, "deleted": _COUNT, "version": _COUNT}
    ),
    "Status": _object(
        {
            "version": _COUNT,
            "count": _COUNT,
            "held_requests": _COUNT,
            "held_by_host": _map_of(_COUNT),
            "totals": _ref("Counts"),
        }
    ),
    "Failure": _object(
        {"error": {"type": "string"}, "message": {"type": "string"}}, optional=("message",)
    ),
}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _answers(schema: Json, *failures: str) -> Json:
    meanings = {
        "400": "The input is at fault; the sentence says how. Nothing has changed.",
        "401": "A token is missing, or is none of this balancer's.",
        "403": "The token's scope is too small.",
        "404": "There is no such thing.",
        "412": "If-Match, If-None-Match or `if` does not hold. Nothing has changed.",
        "413": "The body is too large.",
        "503": "Too many clients follow.",
        "507": "The change cannot be written to disk. Nothing has changed.",
    }
    answers: Json = {"200": {"description": "Done.", "content": _json(schema)}}
    for status in sorted(("400", "401", "403", *failures)):
        answers[status] = {"description": meanings[status], "content": _json(_ref("Failure"))}
    return answers


def _field(name: str, meaning: str, schema: Json, place: str = "header") -> Json:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": meaning,
        "schema": schema,
    }


def _body(schema: Json) -> Json:
    return {"required": True, "content": _json(schema)}


_TEXT: Json = {"type": "string"}
_IF_MATCH = _field("If-Match", "Tags, one of which must be the present one's, or *.", _TEXT)
_IF_NONE_MATCH = _field("If-None-Match", "`*`: there must be no rule yet.", _TEXT)
_HOST = _field("host", "A host name; https://name for one protocol.", _TEXT, "path")
_CHANGING = ("412", "413", "507")

_PATHS: Json = {
    "/v1/hosts": {
        "get": {
            "operationId": "list_hosts",
            "summary": "A page of hosts, in the order of their names",
            "parameters": [
                _field(
                    "limit",
                    "Hosts a page.",
                    {"type": "integer", "minimum": 1, "maximum": 1000},
                    "query",
                ),
                _field("after", "What the page before had as `next`.", _TEXT, "query"),
                _field(
                    "inactive_since",
                    "Only hosts that nothing has asked for since: RFC 3339, or seconds since 1970.",
                    _TEXT,
                    "query",
                ),
            ],
            "responses": _answers(_ref("Page")),
        },
        "post": {
            "operationId": "edit_hosts",
            "summary": "Change some rules, all or nothing",
            "parameters": [_IF_MATCH],
            "requestBody": _body(_ref("Edit")),
            "responses": _answers(_ref("Applied"), *_CHANGING),
        },
        "put": {
            "operationId": "replace_hosts",
            "summary": "Keep these rules and no others",
            "parameters": [_IF_MATCH],
            "requestBody": _body(_map_of(_ref("Rule"))),
            "responses": _answers(_ref("Applied"), *_CHANGING),
        },
    },
    "/v1/hosts/{host}": {
        "parameters": [_HOST],
        "get": {
            "operationId": "read_host",
            "summary": "One host",
            "responses": _answers(_ref("Host"), "404"),
        },
        "put": {
            "operationId": "put_host",
            "summary": "Give a host a rule",
            "parameters": [_IF_MATCH, _IF_NONE_MATCH],
            "requestBody": _body(_ref("Rule")),
            "responses": _answers(_ref("Applied"), "404", *_CHANGING),
        },
        "delete": {
            "operationId": "delete_host",
            "summary": "Take a host's rule away",
            "parameters": [_IF_MATCH],
            "responses": _answers(_ref("Applied"), "404", *_CHANGING),
        },
    },
    "/v1/changes": {
        "get": {
            "operationId": "follow_changes",
            "summary": "Changes as server-sent events, without end",
            "parameters": [
                _field("Last-Event-ID", "The last change that was seen.", _TEXT),
                _field("after", "The same, for clients that set no fields.", _TEXT, "query"),
            ],
            "responses": {
                **_answers({}, "503"),
                "200": {
                    "description": "Events `change` and `gap`.",
                    "content": {"text/event-stream": {"schema": _TEXT}},
                },
            },
        },
    },
    "/v1/status": {
        "get": {
            "operationId": "read_status",
            "summary": "The whole table in numbers",
            "responses": _answers(_ref("Status")),
        },
    },
}

DOCUMENT: Json = {
    "openapi": "3.0.3",
    "info": {
        "title": "Verdant balancer: management",
        "version": "1",
        "description": "Rules, statistics and changes of a running balancer.",
    },
    "paths": _PATHS,
    "components": {
        "schemas": _SCHEMAS,
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
    "security": [{}, {"token": []}],
}
