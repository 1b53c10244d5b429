"""Connect to several servers at once with green sockets, and pile the answers up."""

from __future__ import annotations

import sys

from verdant import eventlet
from verdant.eventlet.green import socket


def ask(place: str) -> bytes:
    host, _, port = place.partition(":")
    sock = socket.socket()
    sock.connect((socket.gethostbyname(host), int(port)))
    sock.sendall(b"GET /together HTTP/1.0\r\n\r\n")
    answer = b""
    while data := sock.recv(1024):
        answer += data
    sock.close()
    return answer


pile = eventlet.GreenPile()
for place in sys.argv[1:]:
    pile.spawn(ask, place)
# The pile is the collection of what the calls returned, or raise what they raised.
for place, answer in zip(sys.argv[1:], pile, strict=True):
    print(place.partition(":")[0], answer.split(b"\r\n")[0].split()[1].decode())
