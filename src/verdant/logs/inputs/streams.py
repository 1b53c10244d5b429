"""Streams: syslog, RELP and GELF on connections, one green thread each.

Place     logs/inputs, handlers for `net.Server`.
Promise   RELP: a message is answered 200 when it is on disk; when the disk refuses, the connection
          ends without an answer and the sender keeps the message. Syslog and GELF have no answer:
          what was received is stored at the next commit, and a sender waits while the disk is
          behind. A connection that cannot be framed any more is ended, and counted.
Not here  framing and meaning (framing.py, relp.py, syslog.py, gelf.py), TLS (net).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from verdant.logs.errors import BadInput, NotStored
from verdant.logs.inputs.framing import Framer, Message
from verdant.logs.inputs.gelf import parse_gelf, unpack_gelf
from verdant.logs.inputs.relp import RelpParser, accepted, goodbye, opened, refused
from verdant.logs.inputs.syslog import parse_syslog

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.logs.config import InputConfig
    from verdant.logs.inputs.intake import Intake
    from verdant.logs.inputs.relp import Frame
    from verdant.logs.record import Record
    from verdant.net import Stream

__all__ = ["handle_gelf", "handle_relp", "handle_syslog"]

RECEIVE_BYTES = 64 * 1024
# RELP cannot skip what is too long: it is read, cut and acknowledged, up to this. Beyond it is no
# log line but an attack, and a sender would offer it again for ever.
RELP_FRAME_BYTES_MAX = 4 * 1024 * 1024

_log = logging.getLogger("verdant.logs")


def handle_syslog(intake: Intake, config: InputConfig, stream: Stream) -> None:
    """Take syslog messages, counted or by line, until the sender ends. Parks."""

    def take(message: Message) -> None:
        parsed = parse_syslog(message.data, time.time_ns(), stream.peer_host, config.app)
        if not parsed.well_formed:
            intake.counts.malformed += 1
        intake.put(parsed.record)

    _handle_framed(intake, Framer(config.line_bytes_max, counted=True), stream, take)


def handle_gelf(intake: Intake, config: InputConfig, stream: Stream) -> None:
    """Take GELF messages that end with a NUL, until the sender ends. Parks."""

    def take(message: Message) -> None:
        if message.cut:
            # Half a JSON object is none.
            return
        try:
            data = unpack_gelf(message.data, config.line_bytes_max)
            record = parse_gelf(data, time.time_ns(), stream.peer_host, config.app)
        except BadInput as exc:
            intake.counts.malformed += 1
            _log.debug("GELF from %s: %s", stream.peer_host, exc)
            return
        intake.put(record)

    _handle_framed(intake, Framer(config.line_bytes_max, b"\0"), stream, take)


def _handle_framed(
    intake: Intake, framer: Framer, stream: Stream, take: Callable[[Message], None]
) -> None:
    def take_all(messages: list[Message]) -> None:
        for message in messages:
            if message.cut:
                intake.counts.oversized += 1
            take(message)

    try:
        while data := stream.recv(RECEIVE_BYTES):
            take_all(framer.feed(data))
        take_all(framer.finish())
    except BadInput as exc:
        intake.counts.malformed += 1
        _log.warning("a sender at %s is cut off: %s", stream.peer_host, exc)


def handle_relp(intake: Intake, config: InputConfig, stream: Stream) -> None:
    """Take RELP frames and answer each, until the sender closes. Parks."""
    parser = RelpParser(RELP_FRAME_BYTES_MAX)
    try:
        while data := stream.recv(RECEIVE_BYTES):
            # All that came together shares a commit; a sender's window is some hundred messages.
            answers, records, ended = _answer(parser.feed(data), intake, config, stream.peer_host)
            if records:
                intake.store(records)
            if answers:
                stream.sendall(b"".join(answers))
            if ended:
                return
    except BadInput as exc:
        intake.counts.malformed += 1
        _log.warning("a RELP sender at %s is cut off: %s", stream.peer_host, exc)
    except NotStored as exc:
        # No answer at all: a 500 would have the sender throw the messages away.
        _log.warning("a RELP sender at %s has to send again: %s", stream.peer_host, exc)


def _answer(
    frames: list[Frame], intake: Intake, config: InputConfig, sender: str
) -> tuple[list[bytes], list[Record], bool]:
    """What to say to `frames` once the records are stored, and whether it was the last word."""
    answers: list[bytes] = []
    records: list[Record] = []
    for frame in frames:
        if frame.command == "syslog":
            data = frame.data
            if len(data) > config.line_bytes_max:
                intake.counts.oversized += 1
                data = data[: config.line_bytes_max]
            parsed = parse_syslog(data, time.time_ns(), sender, config.app)
            if not parsed.well_formed:
                intake.counts.malformed += 1
            records.append(parsed.record)
            answers.append(accepted(frame.number))
        elif frame.command == "open":
            answers.append(opened(frame.number))
        elif frame.command == "close":
            answers.append(goodbye(frame.number))
            return answers, records, True
        else:
            intake.counts.malformed += 1
            answers.append(refused(frame.number, f"no command {frame.command} here"))
    return answers, records, False
