"""A chat over WebSockets: what one says goes to everybody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from verdant import eventlet
from verdant.eventlet import websocket, wsgi

participants: set[Any] = set()


@websocket.WebSocketWSGI.configured(  # type: ignore[untyped-decorator]
    supported_protocols=["chat"]
)
def handle(ws: Any) -> None:
    participants.add(ws)
    ws.send(f"protocol {ws.protocol}")
    try:
        while True:
            message = ws.wait()
            if message is None:
                break
            for participant in list(participants):
                participant.send(message)
    finally:
        participants.remove(ws)
        print("left", len(participants), flush=True)


def dispatch(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/chat":
        answer: Iterable[bytes] = handle(environ, start_response)
        return answer
    start_response("404 Not Found", [])
    return []


listener = eventlet.listen(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
wsgi.server(listener, dispatch, log_output=False)
