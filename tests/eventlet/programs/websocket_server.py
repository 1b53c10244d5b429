"""A WebSocket that echoes, and one that sends by itself, beside an ordinary page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from verdant import eventlet
from verdant.eventlet import websocket, wsgi


@websocket.WebSocketWSGI
def handle(ws: Any) -> None:
    if ws.path == "/echo":
        while True:
            message = ws.wait()
            if message is None:
                break
            ws.send(message)
    elif ws.path == "/data":
        for number in range(10):
            ws.send(f"0 {number} {number * number}\n")
            eventlet.sleep(0)


def dispatch(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] in ("/echo", "/data"):
        answer: Iterable[bytes] = handle(environ, start_response)
        return answer
    start_response("200 OK", [("content-type", "text/html")])
    return [b"<html>a page</html>"]


listener = eventlet.listen(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
wsgi.server(listener, dispatch, log_output=False)
