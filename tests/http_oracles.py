"""Oracles: what llhttp and h11 make of the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11
import httptools


@dataclass
class Read:
    """A message as another parser reads it: a request, or an answer with its status."""

    method: bytes = b""
    target: bytes = b""
    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    def seen(self) -> tuple[bytes, bytes, bytes]:
        return self.method, self.target, self.body


class _Ears:
    """Hears llhttp's calls; `parser` is set once it exists."""

    parser: httptools.HttpRequestParser | httptools.HttpResponseParser

    def __init__(self) -> None:
        self.messages: list[Read] = []
        self.whole: list[Read] = []

    def on_message_begin(self) -> None:
        self.messages.append(Read())

    def on_url(self, url: bytes) -> None:
        self.messages[-1].target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.messages[-1] not in self.whole:
            self.messages[-1].fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        if isinstance(self.parser, httptools.HttpRequestParser):
            self.messages[-1].method = self.parser.get_method()
        else:
            self.messages[-1].status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.whole.append(self.messages[-1])


def read_by_llhttp(data: bytes, *, answers: bool = False) -> list[Read]:
    """The whole messages in `data`, up to the first thing that llhttp refuses."""
    ears = _Ears()
    make = httptools.HttpResponseParser if answers else httptools.HttpRequestParser
    ears.parser = make(ears)
    try:
        ears.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return ears.whole
    return ears.whole


def read_by_h11(data: bytes) -> list[Read]:
    """The whole requests in `data`, up to the first thing that h11 refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
    connection.receive_data(data)
    found: list[Read] = []
    present = Read()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return found
        if isinstance(event, h11.Request):
            fields = [(bytes(name).lower(), bytes(value)) for name, value in event.headers]
            present = Read(bytes(event.method), bytes(event.target), 0, fields)
        elif isinstance(event, h11.Data):
            present.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            found.append(present)
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                return found
            connection.start_next_cycle()
        else:
            return found


def answer_by_h11(data: bytes) -> Read | None:
    """The answer to a GET that `data` is, the end of the connection behind it; None if refused."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=100_000)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "case.test")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    found = Read()
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                fields = [(bytes(name).lower(), bytes(value)) for name, value in event.headers]
                found = Read(status=event.status_code, fields=fields)
            elif isinstance(event, h11.Data):
                found.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return found
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
