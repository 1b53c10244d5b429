"""A chat with several servers: WebSockets in front, ZeroMQ between the servers."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import uuid1

from verdant import eventlet
from verdant.eventlet import spawn_n, websocket, wsgi
from verdant.eventlet.green import zmq

context = zmq.Context()
names: defaultdict[Any, str] = defaultdict(lambda: str(uuid1()))


def subscribe_and_distribute(subscriber: Any) -> None:
    while True:
        sender, message = subscriber.recv_pyobj()
        for ws, name in list(names.items()):
            said = "you said" if name == sender else f"{sender} says"
            ws.send(f"{said}: {message}")


@websocket.WebSocketWSGI
def handle(ws: Any) -> None:
    ws.send("connected")
    names[ws] = "nobody"
    try:
        while True:
            message = ws.wait()
            if message is None:
                break
            if message.startswith("name:"):
                names[ws] = message.partition(":")[2].strip()
                ws.send("named")
            else:
                publisher.send_pyobj((names[ws], message))
    finally:
        del names[ws]


def dispatch(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    answer: Iterable[bytes] = handle(environ, start_response)
    return answer


publisher = context.socket(zmq.PUB)
publisher.connect(sys.argv[1])
subscriber = context.socket(zmq.SUB)
subscriber.setsockopt(zmq.SUBSCRIBE, b"")
subscriber.connect(sys.argv[2])
spawn_n(subscribe_and_distribute, subscriber)
listener = eventlet.listen(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
wsgi.server(listener, dispatch, log_output=False)
