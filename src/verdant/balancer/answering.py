"""Answering: what both interfaces of the management API do with JSON and with failures.

Place     balancer, below management.py and api/.
Promise   every failure that has a name of its own becomes a JSON answer `{"error", "message"}`
          with the status that fits; a large body is decoded in a native thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from verdant.balancer.errors import BadRule, Conflict, StateUnwritable
from verdant.core import run_in_worker
from verdant.errors import TimedOut, VerdantError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["answer_or_refuse", "json_answer", "read_body"]

# Above this a body is read in a native worker thread: half a million rules take seconds, and the
# hub must not stand still for longer than a few milliseconds.
HUB_BYTES_MAX = 64 * 1024

T = TypeVar("T")


def json_answer(answer: object, status: int = 200) -> Response:
    """`answer` as JSON. Does not park."""
    return Response(
        msgspec.json.encode(answer) + b"\n", status=status, content_type="application/json"
    )


def answer_or_refuse(request: Request, answer: Callable[[], object]) -> Response:
    """What `answer()` returns, as JSON unless it is a response; or why not. Parks as it does."""
    try:
        found = answer()
    except MethodNotAllowed as exc:
        response = json_answer({"error": "method_not_allowed"}, 405)
        response.allow.update(exc.valid_methods or ())
        return response
    except NotFound:
        return json_answer({"error": "not_found"}, 404)
    except RequestEntityTooLarge:
        sentence = f"the body is larger than {request.max_content_length} bytes"
        return _refusal("body_too_large", sentence, 413)
    except HTTPException as exc:
        # What is left is a body that broke off.
        return _refusal("bad_request", exc.description, 400)
    except Conflict as exc:
        response = _refusal("precondition_failed", str(exc), 412)
        if exc.tag is not None:
            response.set_etag(exc.tag)
        return response
    except BadRule as exc:
        return _refusal(exc.fault, str(exc), 400)
    except StateUnwritable as exc:
        return _refusal("state_unwritable", str(exc), 507)
    except VerdantError as exc:
        return _refusal(exc.code, str(exc), 503 if isinstance(exc, TimedOut) else 500)
    return found if isinstance(found, Response) else json_answer(found)


def _refusal(fault: str, sentence: str | None, status: int) -> Response:
    return json_answer({"error": fault, "message": sentence}, status)


def read_body(request: Request, bytes_max: int, parse: Callable[[object], T]) -> T:
    """The request's JSON body as `parse` has it. Parks.

    Raises `BadRule` for what is not JSON, and RequestEntityTooLarge over `bytes_max`.
    """
    request.max_content_length = bytes_max
    body = request.get_data(cache=False)
    if len(body) > HUB_BYTES_MAX:
        parsed: T = run_in_worker(_decode, body, parse)
        return parsed
    return _decode(body, parse)


def _decode(body: bytes, parse: Callable[[object], T]) -> T:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadRule("body_not_json", f"the body is not JSON: {exc}") from exc
    return parse(value)
