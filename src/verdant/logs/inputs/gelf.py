"""GELF: Graylog's messages, and the datagrams and bytes that they come in.

Place     logs/inputs, pure: the clock is an argument.
Promise   what is not a GELF message raises `BadInput`; chunks of messages that never become whole
          are let go of after `CHUNKS_S_MAX`, and never take more than `CHUNKS_BYTES_MAX`.
Source    https://go2docs.graylog.org/current/getting_in_log_data/gelf.html

    chunk    1e 0f · message id 8 · number 1 · count 1 · part        up to 128 of them
    whole    1f 8b … gzip     78 … zlib     28 b5 2f fd … zstd       else JSON as it is
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec
import zstandard

from verdant.logs.errors import BadInput
from verdant.logs.inputs.objects import moment_ns
from verdant.logs.inputs.syslog import SEVERITIES
from verdant.logs.record import Record

__all__ = ["Chunks", "parse_gelf", "unpack_gelf"]

CHUNK_MARK = b"\x1e\x0f"
CHUNK_HEAD_BYTES = 12
# The protocol's own bounds: so many parts, that come within five seconds.
CHUNKS_PER_MESSAGE_MAX = 128
CHUNKS_S_MAX = 5.0
# All unfinished messages together.
CHUNKS_BYTES_MAX = 16 * 1024 * 1024

_decode = msgspec.json.Decoder(dict[str, object]).decode


@dataclass(slots=True)
class _Unfinished:
    began: float
    count: int
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


class Chunks:
    """Datagrams in, whole messages out. `lost`: messages that never became whole."""

    def __init__(self) -> None:
        self.lost = 0
        self._size = 0
        # The oldest first.
        self._unfinished: OrderedDict[tuple[str, bytes], _Unfinished] = OrderedDict()

    def feed(self, datagram: bytes, sender: str, now: float) -> bytes | None:
        """The message that is whole with `datagram`, if one is. Raises `BadInput`.

        `now`: seconds on a clock that never goes back.
        """
        self._expire(now)
        if not datagram.startswith(CHUNK_MARK):
            return datagram
        if len(datagram) <= CHUNK_HEAD_BYTES:
            raise BadInput("a GELF chunk without a part")
        number, count = datagram[10], datagram[11]
        if not 0 < count <= CHUNKS_PER_MESSAGE_MAX or number >= count:
            raise BadInput(f"GELF chunk {number} of {count}: there are 1 to 128, from 0 up")
        key = (sender, datagram[2:10])
        entry = self._unfinished.setdefault(key, _Unfinished(now, count))
        if entry.count != count:
            raise BadInput("GELF chunks of one message disagree on how many there are")
        if number not in entry.parts:
            part = datagram[CHUNK_HEAD_BYTES:]
            entry.parts[number] = part
            entry.size += len(part)
            self._size += len(part)
        if len(entry.parts) == count:
            self._forget(key)
            return b"".join(entry.parts[index] for index in range(count))
        while self._size > CHUNKS_BYTES_MAX:
            self._lose_oldest()
        return None

    def _expire(self, now: float) -> None:
        while self._unfinished:
            oldest = next(iter(self._unfinished.values()))
            if now - oldest.began < CHUNKS_S_MAX:
                return
            self._lose_oldest()

    def _lose_oldest(self) -> None:
        self._forget(next(iter(self._unfinished)))
        self.lost += 1

    def _forget(self, key: tuple[str, bytes]) -> None:
        self._size -= self._unfinished.pop(key).size


def unpack_gelf(data: bytes, bytes_max: int) -> bytes:
    """The JSON in `data`, packed or not. Raises `BadInput`, also for more than `bytes_max`."""
    try:
        if data.startswith((b"\x1f\x8b", b"\x78")):
            # 32: gzip's head or zlib's, whichever it is.
            unpacker = zlib.decompressobj(32 + zlib.MAX_WBITS)
            data = unpacker.decompress(data, bytes_max + 1)
            if not unpacker.eof and len(data) <= bytes_max:
                raise BadInput("a packed GELF message breaks off")
        elif data.startswith(b"\x28\xb5\x2f\xfd"):
            with zstandard.ZstdDecompressor().stream_reader(data) as reader:
                data = reader.read(bytes_max + 1)
    except (zlib.error, zstandard.ZstdError) as exc:
        raise BadInput(f"a packed GELF message cannot be unpacked ({exc})") from exc
    if len(data) > bytes_max:
        raise BadInput(f"a GELF message unpacks to more than {bytes_max} bytes")
    return data


def parse_gelf(data: bytes, now_ns: int, sender: str = "-", app: str = "-") -> Record:
    """The record in a message's JSON. Raises `BadInput`."""
    try:
        found = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BadInput(f"a GELF message is not a JSON object ({exc})") from exc
    short, full = found.pop("short_message", None), found.pop("full_message", None)
    if not isinstance(short, str):
        raise BadInput("a GELF message has no short_message")
    level = found.pop("level", 1)
    severity = "ALERT"
    if isinstance(level, int) and 0 <= level < len(SEVERITIES):
        severity = SEVERITIES[level]
    time_ns = moment_ns(found.pop("timestamp", None))
    host = found.pop("host", None)
    found.pop("version", None)
    # The underscore only keeps a sender's own names apart from the protocol's.
    fields = {name.removeprefix("_"): value for name, value in found.items()}
    for name in ("app", "application", "app_name", "application_name", "service"):
        if isinstance(fields.get(name), str):
            app = str(fields.pop(name))
            break
    if isinstance(full, str) and full != short:
        fields["full_message"] = full
    return Record(
        now_ns if time_ns is None else time_ns,
        app,
        str(host) if host else sender,
        severity,
        short,
        fields,
    )
