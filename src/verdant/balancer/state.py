"""State: the rules on disk, a snapshot and a journal.

Place     balancer; the only file of the room that writes. The supervisor owns the one `State`.
          It blocks: call it in a worker thread.
Promise   when a change returns, it is on disk; when it raises, nothing has changed. A process
          killed at any moment finds the old rules or the new ones when it starts again, never a
          mixture, and never lacks a change that has returned.
Not here  who may change rules (management.py); handing them to workers (service.py).

    state.json      {"version": 41, "hosts": {host: rule, ...}, "crc": ...}    replaced by rename
    journal.jsonl   {"crc":"5e1f09ab","change":{"seq":42,"put":{...},"delete":[...]}}
    state.lock      held by the process that has the directory open

A change is one line and one fsync, whatever the table's size. `crc` is the CRC-32 of the bytes of
`change`; `seq` goes up by one a line, so that a missing line shows. Start: read the snapshot, then
each line whose seq is above its version. Past `JOURNAL_BYTES_MAX` a new snapshot is written, then
an empty journal takes the old one's place; a crash between the two leaves lines that the snapshot
already has, and their seq says so. No file is ever cut short or overwritten in place.

A kill in the middle of an append leaves a last line without its end: it was never acknowledged,
so it is dropped, and the journal replaced before the next append. So is a last line with NUL bytes,
which is how a page that never reached the disk reads after a power cut. Every other line that
does not hold together was damaged after it was acknowledged: then we refuse to start and name it,
because going on would silently undo changes.

A snapshot whose `crc` fits is as we wrote it, and so its rules are taken as they are: checking a
million takes ten seconds. One that was edited by hand is checked rule by rule.

Mantrid's own state.json ({"hosts": ..., "stats": ...}) is read as a snapshot of version 0.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import msgspec

from verdant.balancer.errors import BadRule, StateDamaged, StateInUse, StateUnwritable
from verdant.balancer.rule_texts import RuleTexts
from verdant.balancer.rules import Rule, parse_rules
from verdant.balancer.stores import RuleStore

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JOURNAL_BYTES_MAX", "State"]

# Some hundred thousand changes. Replaying this much takes about a second; a snapshot of a million
# hosts takes a few, so it must not be due too often.
JOURNAL_BYTES_MAX = 16 * 1024 * 1024

# How many rules become bytes between two writes of a snapshot: bounds memory, not time.
SNAPSHOT_RULES_PER_WRITE = 1000

SNAPSHOT_NAME = "state.json"
JOURNAL_NAME = "journal.jsonl"
LOCK_NAME = "state.lock"

_HEAD = b'{"crc":"%08x","change":'
_HEAD_LENGTH = len(_HEAD % 0)

_TAIL = b',"crc":"%08x"}\n'
_TAIL_LENGTH = len(_TAIL % 0)


class _Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one journal line says. `put` is left undecoded for `parse_rules`."""

    seq: int
    put: dict[str, object] = {}
    delete: list[str] = []


class _Snapshot(msgspec.Struct, frozen=True):
    """What state.json says; fields of Mantrid's that we do not keep are passed over."""

    hosts: dict[str, object]
    version: int = 0


class _OwnSnapshot(msgspec.Struct, frozen=True):
    """The same of a file that is as we wrote it; its rules are left as text."""

    hosts: dict[str, msgspec.Raw]
    version: int


class State(RuleStore):
    """The rules in one directory. `rules` is always what the disk says; do not change it."""

    def __init__(
        self, directory: str | Path, *, journal_bytes_max: int = JOURNAL_BYTES_MAX
    ) -> None:
        """Open the directory, made if it is missing, and read what it has. Blocks.

        Raises `StateUnwritable`, `StateInUse`, `StateDamaged`.
        """
        super().__init__()
        self.directory = Path(directory)
        self._journal_bytes_max = journal_bytes_max
        self._journal_fd = -1
        self._journal_bytes = 0
        # True while the journal's end is not known to be whole: nothing may be appended then.
        self._journal_suspect = False
        self._lock_fd = self._take_directory()
        try:
            self._read_snapshot()
            self._read_journal()
            if self._journal_suspect or not self._journal_path.exists():
                self._compact()
            else:
                self._open_journal()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the directory up. There is nothing left to write; may be called twice."""
        with self._lock:
            for fd in (self._journal_fd, self._lock_fd):
                if fd >= 0:
                    os.close(fd)
            self._journal_fd = self._lock_fd = -1

    def _keep(self, put: dict[str, Rule], deleted: tuple[str, ...]) -> None:
        if self._lock_fd < 0:
            raise StateUnwritable(f"the state in {self.directory} is closed; open it again")
        if self._journal_suspect or self._journal_bytes > self._journal_bytes_max:
            self._compact()
        self._append(put, deleted)

    def _kept(self) -> None:
        # All rules set anew make a line that takes longer to replay than a snapshot to read.
        if self._journal_bytes > max(self._journal_bytes_max, JOURNAL_BYTES_MAX):
            # The change is on disk: whether there is room for a snapshot is the next one's matter.
            with contextlib.suppress(StateUnwritable):
                self._compact()

    def _append(self, put: dict[str, Rule], deleted: tuple[str, ...]) -> None:
        change = msgspec.json.encode(
            {
                "seq": self.version + 1,
                "put": {host: rule.to_json() for host, rule in put.items()},
                "delete": deleted,
            }
        )
        line = _HEAD % zlib.crc32(change) + change + b"}\n"
        try:
            _write_all(self._journal_fd, line)
            os.fsync(self._journal_fd)
        except OSError as exc:
            # The line may be there in part, or whole. It is not acknowledged; its number is used
            # up, so that a snapshot of the rules as they are now outranks it. If even that cannot
            # be written (the disk is full), the next change tries again before it appends.
            self._journal_suspect = True
            self.version += 1
            with contextlib.suppress(StateUnwritable):
                self._compact()
            self._refuse(self._journal_path, exc)
        self._journal_bytes += len(line)

    # The snapshot

    @property
    def _snapshot_path(self) -> Path:
        return self.directory / SNAPSHOT_NAME

    @property
    def _journal_path(self) -> Path:
        return self.directory / JOURNAL_NAME

    def _compact(self) -> None:
        """A new snapshot of the rules as they are, then an empty journal."""
        try:
            _replace_file(self._snapshot_path, self._snapshot_pieces())
            _replace_file(self._journal_path, iter(()))
        except OSError as exc:
            self._refuse(self.directory, exc)
        if self._journal_fd >= 0:
            os.close(self._journal_fd)
            self._journal_fd = -1
        self._journal_suspect = True
        self._open_journal()
        self._journal_suspect = False

    def _snapshot_pieces(self) -> Iterator[bytes]:
        piece = [b'{"version":%d,"hosts":{' % self.version]
        crc = 0
        comma = b"\n"
        for host, text in self.rules.texts.items():
            piece.append(b"%b%b:%b" % (comma, msgspec.json.encode(host), text))
            comma = b",\n"
            if len(piece) >= SNAPSHOT_RULES_PER_WRITE:
                written = b"".join(piece)
                crc = zlib.crc32(written, crc)
                yield written
                piece.clear()
        written = b"".join(piece) + b"\n}"
        yield written + _TAIL % zlib.crc32(written, crc)

    def _read_snapshot(self) -> None:
        path = self._snapshot_path
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as exc:
            self._refuse(path, exc)
        try:
            if text[-_TAIL_LENGTH:] == _TAIL % zlib.crc32(memoryview(text)[:-_TAIL_LENGTH]):
                self._take_own_snapshot(text)
                return
            snapshot = msgspec.json.decode(text, type=_Snapshot)
            self.rules = RuleTexts(parse_rules(snapshot.hosts))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, BadRule) as exc:
            raise StateDamaged(
                f"{path} is not a snapshot of rules: {exc}. Correct it, or put a copy in its place"
            ) from exc
        self.version = snapshot.version

    def _take_own_snapshot(self, text: bytes) -> None:
        own = msgspec.json.decode(text, type=_OwnSnapshot)
        self.rules.texts = {host: bytes(rule) for host, rule in own.hosts.items()}
        self.version = own.version

    # The journal

    def _open_journal(self) -> None:
        try:
            self._journal_fd = os.open(self._journal_path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._journal_bytes = os.fstat(self._journal_fd).st_size
        except OSError as exc:
            self._refuse(self._journal_path, exc)

    def _read_journal(self) -> None:
        try:
            text = self._journal_path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as exc:
            self._refuse(self._journal_path, exc)
        lines = text.split(b"\n")
        unfinished = lines.pop()
        for number, line in enumerate(lines, 1):
            # A page that was never written reads as NUL bytes, which JSON does not have.
            if number == len(lines) and not unfinished and b"\0" in line:
                self._journal_suspect = True
                return
            self._replay(number, line)
        if unfinished:
            self._journal_suspect = True

    def _replay(self, number: int, line: bytes) -> None:
        change_bytes = line[_HEAD_LENGTH:-1]
        if line != _HEAD % zlib.crc32(change_bytes) + change_bytes + b"}":
            self._refuse_line(number, "its checksum does not fit")
        try:
            change = msgspec.json.decode(change_bytes, type=_Change)
            put = parse_rules(change.put)
        except (msgspec.MsgspecError, UnicodeDecodeError, BadRule) as exc:
            self._refuse_line(number, str(exc), exc)
        if change.seq <= self.version:
            return
        if change.seq != self.version + 1:
            self._refuse_line(
                number, f"it is change {change.seq}, where {self.version + 1} should follow"
            )
        self.rules.apply(put, change.delete)
        self.version = change.seq

    def _refuse_line(self, number: int, why: str, cause: Exception | None = None) -> NoReturn:
        raise StateDamaged(
            f"{self._journal_path}:{number}: this line is damaged: {why}. Restore the directory "
            f"from a copy; or, to go on without this change and those after it, remove line "
            f"{number} and the lines after it"
        ) from cause

    # The directory

    def _take_directory(self) -> int:
        path = self.directory / LOCK_NAME
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            self._refuse(self.directory, exc)
        try:
            # flock(2): the kernel frees it when the last copy of the descriptor closes, so a
            # killed process leaves no lock. A child by fork alone would hold it too; exec closes.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(fd, b"%-20d\n" % os.getpid(), 0)
        except OSError as exc:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() if _busy(exc) else ""
            os.close(fd)
            if not _busy(exc):
                self._refuse(path, exc)
            raise StateInUse(
                f"{self.directory} is in use by process {holder or 'unknown'}; stop it, or choose "
                "another state_dir"
            ) from exc
        return fd

    def _refuse(self, path: Path, exc: OSError) -> NoReturn:
        remedy = {
            errno.ENOSPC: "free some space on that disk",
            errno.EDQUOT: "raise the quota, or free some space",
            errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
            errno.EROFS: "mount that file system writable, or choose another state_dir",
            errno.EACCES: f"let user {os.geteuid()} write there, or choose another state_dir",
            errno.EPERM: f"let user {os.geteuid()} write there, or choose another state_dir",
            errno.ENOTDIR: "a file stands where a directory should be; choose another state_dir",
            errno.EEXIST: "a file stands where a directory should be; choose another state_dir",
        }.get(exc.errno or 0, "check that disk, or choose another state_dir")
        raise StateUnwritable(
            f"rules cannot be kept in {path}: {exc.strerror or exc}; {remedy}. Nothing has changed"
        ) from exc


def _busy(exc: OSError) -> bool:
    return exc.errno in (errno.EAGAIN, errno.EACCES)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _replace_file(path: Path, pieces: Iterator[bytes]) -> None:
    """`path` has the old content or the new one at any moment, also after a power cut."""
    temporary = path.with_name(path.name + ".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        for piece in pieces:
            _write_all(fd, piece)
        os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        os.close(fd)
    os.rename(temporary, path)
    # The rename itself is durable only when the directory is (fsync(2)).
    directory_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)
