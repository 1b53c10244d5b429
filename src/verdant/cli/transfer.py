"""Transfer: lines from log servers into a file, and from files into log servers.

Place     cli, on the logs room's reader and codec.
Promise   an export has every line that matches, once, the oldest first, page by page: no search
          takes long, and a million lines need no memory. An import ends when every batch is on a
          server's disk; the same file again stores nothing twice.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import msgspec

from verdant.core import Timeout, run_in_worker
from verdant.errors import VerdantError
from verdant.logs import Reader, Record
from verdant.logs.codec import Batch, BatchId, compress, decode_ack, encode_batch
from verdant.logs.record import encode_line
from verdant.zmq import DEALER, LINGER, Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from verdant.cli.peers import Peers
    from verdant.logs import Row
    from verdant.zmq import Socket

__all__ = ["TransferFailed", "export_lines", "import_batches", "read_lines"]

PAGE_LINES = 5000
BATCH_LINES = 5000
BATCH_BYTES = 1024 * 1024
# A server answers after an fsync; one that does not within this is passed over.
ACK_S_MAX = 5.0
# Rounds over all servers with one batch: a disk that is full for a moment, a restart.
ROUNDS_MAX = 6


class TransferFailed(VerdantError):
    """Raised when lines cannot be moved. The text says what stands in the way."""

    code = "cli-transfer-failed"


def export_lines(reader: Reader, text: str, write: Callable[[str], object]) -> Iterator[int]:
    """Write each line that matches `text` as JSON. Yields how many there are so far. Parks.

    Raises `BadQuery`, and `TransferFailed` when a server does not answer: an export with a hole
    would be taken for whole.
    """
    page: str | None = None
    count = 0
    while True:
        found = reader.query(text, PAGE_LINES, "oldest", page)
        if found.missing:
            reasons = "; ".join(found.reasons.values())
            raise TransferFailed(f"the export would not be whole: {reasons}")
        for row in found.rows:
            write(_json_of(row) + "\n")
        count += len(found.rows)
        yield count
        page = found.page
        if page is None or not found.rows:
            return


def _json_of(row: Row) -> str:
    try:
        fields = json.loads(row.fields)
    except ValueError:
        fields = {"fields": row.fields}
    document = {
        "time_ns": row.t,
        "app": row.app,
        "host": row.host,
        "level": row.level,
        "message": row.msg,
        "fields": fields,
    }
    return json.dumps(document, ensure_ascii=False)


class _Line(msgspec.Struct):
    time_ns: int
    message: str
    app: str = "-"
    host: str = "-"
    level: str = "INFO"
    fields: dict[str, object] = {}


def read_lines(path: Path) -> Iterator[Batch]:
    """Batches of a file of JSON lines as `export_lines` writes them. Blocks. Raises OSError and
    `TransferFailed`, which names the line."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    # Of the content: the same lines have the same identities, whenever they are imported.
    client = f"import@{digest.hexdigest()}"
    decode = msgspec.json.Decoder(_Line).decode
    seq = size = 0
    lines: list[bytes] = []
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                found = decode(text)
            except (msgspec.DecodeError, ValueError) as exc:
                raise TransferFailed(f"{path}:{number}: is no line of an export ({exc})") from exc
            record = Record(
                found.time_ns, found.app, found.host, found.level, found.message, found.fields
            )
            lines.append(encode_line(record))
            size += len(lines[-1])
            if len(lines) >= BATCH_LINES or size >= BATCH_BYTES:
                yield _batch(client, seq, lines)
                seq, size, lines = seq + 1, 0, []
    if lines:
        yield _batch(client, seq, lines)


def _batch(client: str, seq: int, lines: list[bytes]) -> Batch:
    return Batch(BatchId(client, 0, seq), len(lines), compress(b"".join(lines)))


def import_batches(batches: Iterator[Batch], servers: Peers) -> Iterator[tuple[int, int]]:
    """Store each batch on one of `servers`. Yields lines stored, and lines that were there. Parks.

    Raises `TransferFailed` when no server takes a batch.
    """
    context = Context()
    try:
        sockets = []
        for server in servers.endpoints:
            socket = context.socket(DEALER)
            socket.setsockopt(LINGER, 0)
            if server in servers.security:
                servers.security[server].apply(socket)
            socket.connect(server)
            sockets.append(socket)
        stored = present = 0
        while (batch := run_in_worker(next, batches, None)) is not None:
            reason = "no log server answers"
            for turn in range(ROUNDS_MAX * len(sockets)):
                # The first that answers has them all: a second one would have what the first has.
                status, detail = _send(sockets[turn % len(sockets)], batch)
                if status in ("stored", "duplicate"):
                    break
                reason = detail or reason
                if status == "refused":
                    raise TransferFailed(f"a log server refuses a batch: {reason}")
            else:
                raise TransferFailed(f"a batch of {batch.lines} lines is not stored: {reason}")
            stored += batch.lines if status == "stored" else 0
            present += batch.lines if status == "duplicate" else 0
            yield stored, present
    finally:
        context.destroy(linger=0)


def _send(socket: Socket, batch: Batch) -> tuple[str, str]:
    expired = Timeout(ACK_S_MAX)
    try:
        with expired:
            socket.send_multipart(encode_batch(batch))
            ack = decode_ack(socket.recv_multipart())
            # An earlier batch's, that came too late for it.
            while BatchId(ack.client, ack.epoch, ack.seq) != batch.id:
                ack = decode_ack(socket.recv_multipart())
    except Timeout as exc:
        if exc is not expired:
            raise
        return "", ""
    return ack.status, ack.detail
