"""Certificates: the TLS context for the name a client asks for, from a directory that may change.

Place     balancer; service.py listens with `context`, the management interface calls the rest.
Promise   a file that is put, replaced or deleted counts from the next handshake on; connections
          that stand keep what they have. A file that does not fit is told in the log, once, with
          its name and the remedy; what was served before goes on being served, and no other name
          notices. At most `contexts_max` are in memory, those used last.
Not here  getting certificates (ACME); what a certificate says (x509.py).

    name ─▶ NAME ─▶ *.PARENT ─▶ `default` ─▶ unrecognized_name
             └─ each: NAME.pem, its key inside or in NAME.key; or NAME/fullchain.pem, privkey.pem

Loaded at first use: tens of thousands at the start would take minutes. Each handshake asks the
kernel for the files' times, some microseconds beside the milliseconds of its own arithmetic; so
several workers agree without a word, and whatever renews certificates needs to know nothing of us.
Loading reads small files in the hub: it happens once per name and change, in the middle of
OpenSSL's handshake, where a green thread cannot wait for another thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from verdant.balancer.errors import BadCertificate
from verdant.balancer.x509 import CertificateFacts, read_certificate
from verdant.core import run_in_worker
from verdant.net import tls_context_by_name, tls_server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from verdant.balancer.config import TlsConfig

__all__ = ["CONTEXTS_MAX_DEFAULT", "CertificateState", "Certificates"]

# Some 30 KiB each with its chain; the busy names of one front door.
CONTEXTS_MAX_DEFAULT = 4096
# A chain with its key has some 10 KiB; more is another file.
FILE_BYTES_MAX = 256 * 1024
# Told in the log before a certificate expires: most are renewed a month before.
EXPIRY_NOTICE_S = 7 * 86_400
# Looked through at the start, in a native thread; the others at their first use.
CHECKED_MAX = 1000

_is_name = re.compile(
    r"(?:\*\.)?(?=.{1,240}\Z)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*"
).fullmatch

_log = logging.getLogger("verdant.balancer.certificates")


@dataclass(frozen=True, slots=True)
class CertificateState:
    """What the directory has for one name: the file, what it says, and what is wrong with it."""

    name: str
    file: str
    facts: CertificateFacts | None
    fault: str | None


@dataclass(slots=True)
class _Loaded:
    """The context of a name, None while there was no good one, and its files as they were read."""

    context: ssl.SSLContext | None
    stamp: tuple[object, ...]


class Certificates:
    """The certificates in `directory`. `context` is for `listen(tls=...)`.

    default: the name whose certificate clients get that ask for an unknown one, or for none; None
    refuses them. client_ca: PEM file of the authorities that must have signed a client's own
    certificate; None asks for none. contexts_max: how many are kept in memory.
    Raises `BadCertificate` when `directory` is none, or `client_ca` has no certificates.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        default: str | None = None,
        client_ca: str | Path | None = None,
        contexts_max: int = CONTEXTS_MAX_DEFAULT,
    ) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise BadCertificate(
                f"{directory} is no directory; make it, and put NAME.pem files into it"
            )
        self.default = default
        self._client_ca = client_ca
        self._contexts_max = contexts_max
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        try:
            self.context = tls_context_by_name(self.choose, client_ca=client_ca)
        except OSError as exc:
            raise BadCertificate(
                f"client_ca: {client_ca} cannot be used ({exc.strerror or exc}); it must be a PEM "
                "file of certificates"
            ) from exc

    @classmethod
    def of(cls, settings: TlsConfig) -> Self:
        """Those that `[balancer.tls]` names, which must have a directory. Raises as above."""
        assert settings.directory is not None
        return cls(
            settings.directory,
            default=settings.default,
            client_ca=settings.client_ca,
            contexts_max=settings.certificates_max,
        )

    def __len__(self) -> int:
        return len(self._loaded)

    def choose(self, name: str | None) -> ssl.SSLContext | None:
        """The context for a client that asks for `name`; None when there is none. Does not park."""
        for candidate in self._candidates(name):
            context = self._context(candidate)
            if context is not None:
                return context
        return None

    def _candidates(self, name: str | None) -> Iterator[str]:
        # Names become file names, and come from strangers.
        if name is not None and _is_name(name):
            yield name
            parent = name.partition(".")[2]
            if parent:
                yield f"*.{parent}"
        if self.default is not None:
            yield self.default

    def _context(self, name: str) -> ssl.SSLContext | None:
        files = self._files(name)
        loaded = self._loaded.get(name)
        if files is None:
            if loaded is not None:
                del self._loaded[name]
            return None
        chain, key, stamp = files
        if loaded is None or loaded.stamp != stamp:
            loaded = _Loaded(None if loaded is None else loaded.context, stamp)
            self._loaded[name] = loaded
            try:
                loaded.context, facts = self._load(chain, key)
            except BadCertificate as exc:
                _log.error("%s", exc)
            else:
                _tell_doubts(name, chain, facts)
            while len(self._loaded) > self._contexts_max:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(name)
        return loaded.context

    def _files(self, name: str) -> tuple[Path, Path, tuple[object, ...]] | None:
        """The chain's and the key's file for `name`, and what tells that they changed."""
        for chain, key in (
            (self.directory / f"{name}.pem", self.directory / f"{name}.key"),
            (self.directory / name / "fullchain.pem", self.directory / name / "privkey.pem"),
        ):
            stamp = _stamp(chain)
            if stamp is not None:
                return chain, key, (chain, stamp, _stamp(key))
        return None

    def _load(self, chain: Path, key: Path) -> tuple[ssl.SSLContext, CertificateFacts]:
        """Raises `BadCertificate`."""
        text = _read(chain)
        try:
            facts = read_certificate(text)
        except ValueError as exc:
            raise BadCertificate(f"{chain}: {exc}; write the chain, leaf first, as PEM") from exc
        inside = b"PRIVATE KEY-----" in text
        if not inside and not key.is_file():
            raise BadCertificate(
                f"{chain}: its key is missing; put it into the file, or into {key}"
            )
        try:
            context = tls_server_context(
                chain,
                None if inside else key,
                # OpenSSL would ask for one on the terminal.
                password="",
                client_ca=self._client_ca,
            )
        except (OSError, ValueError) as exc:
            where = chain if inside else key
            reason = getattr(exc, "reason", None) or str(exc)
            if reason == "KEY_VALUES_MISMATCH":
                text_of = "is not the key of this certificate; put the two that belong together"
            else:
                text_of = f"cannot be used ({reason}); it must be a PEM key without a password"
            raise BadCertificate(f"{chain}: the key in {where} {text_of}") from exc
        return context, facts

    def names(self) -> list[str]:
        """Every name that the directory has files for, sorted. Parks while it is read."""
        return run_in_worker(self._names)

    def _names(self) -> list[str]:
        found = set()
        with os.scandir(self.directory) as entries:
            for entry in entries:
                name = entry.name.removesuffix(".pem")
                if _is_name(name) and (name != entry.name or entry.is_dir()):
                    found.add(name)
        return sorted(found)

    def inspect(self, name: str) -> CertificateState | None:
        """What the directory has for exactly `name`, or None. Parks while it is read."""
        return run_in_worker(self._inspect, name)

    def _inspect(self, name: str) -> CertificateState | None:
        files = self._files(name) if _is_name(name) else None
        if files is None:
            return None
        chain, key, _ = files
        try:
            _, facts = self._load(chain, key)
        except BadCertificate as exc:
            return CertificateState(name, str(chain), None, str(exc))
        return CertificateState(name, str(chain), facts, _doubt(name, chain, facts))

    def check(self) -> list[CertificateState]:
        """Look through the directory and tell the log what is wrong. Parks; a native thread reads.

        Returns those with a fault. Only the first `CHECKED_MAX` names are looked at.
        """
        return run_in_worker(self._check)

    def _check(self) -> list[CertificateState]:
        names = self._names()
        states = [self._inspect(name) for name in names[:CHECKED_MAX]]
        faulty = [state for state in states if state is not None and state.fault is not None]
        for state in faulty:
            _log.error("%s", state.fault)
        if self.default is not None and self.default not in names:
            _log.error(
                "%s: there is no certificate for default = %r; put %s.pem into it",
                self.directory,
                self.default,
                self.default,
            )
        return faulty

    def put(self, name: str, chain: bytes, key: bytes) -> CertificateFacts:
        """Serve `name` with this certificate from now on. Parks until it is durable.

        `name`: of a host, or `*.` and one for all names one label below. `chain`, `key`: PEM.
        Raises `BadCertificate`, and then nothing has changed; OSError when the file cannot be
        written.
        """
        return run_in_worker(self._put, name, chain, key)

    def _put(self, name: str, chain: bytes, key: bytes) -> CertificateFacts:
        if not _is_name(name):
            raise BadCertificate(f"{name[:64]!r} is no host name, nor *. and one")
        # One file, so that no handshake meets a new chain with an old key.
        number, path = tempfile.mkstemp(dir=self.directory, prefix=".put-", suffix=".tmp")
        temporary = Path(path)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(chain.rstrip() + b"\n" + key.rstrip() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                _, facts = self._load(temporary, temporary)
            except BadCertificate as exc:
                raise BadCertificate(str(exc).replace(path, name)) from exc
            if not facts.covers(name):
                raise BadCertificate(f"{name}: the certificate is for {_listed(facts)}")
            temporary.replace(self.directory / f"{name}.pem")
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._sync_directory()
        return facts

    def delete(self, name: str) -> bool:
        """Remove the files `NAME.pem` and `NAME.key`. Parks. Returns whether there was one.

        A folder of that name is somebody else's and stays.
        """
        return run_in_worker(self._delete, name)

    def _delete(self, name: str) -> bool:
        found = False
        if _is_name(name):
            for suffix in (".pem", ".key"):
                with contextlib.suppress(FileNotFoundError):
                    (self.directory / f"{name}{suffix}").unlink()
                    found = True
            self._sync_directory()
        return found

    def _sync_directory(self) -> None:
        number = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise BadCertificate(f"{path}: cannot be read ({exc.strerror}); see its mode") from exc
    if len(text) > FILE_BYTES_MAX:
        raise BadCertificate(f"{path}: is over {FILE_BYTES_MAX} bytes; is it a certificate?")
    return text


def _tell_doubts(name: str, chain: Path, facts: CertificateFacts) -> None:
    # Served all the same: its client will refuse it, or knows better.
    doubt = _doubt(name, chain, facts)
    if doubt is not None:
        _log.error("%s", doubt)
    elif facts.not_after_s - time.time() < EXPIRY_NOTICE_S:
        _log.warning("%s: expires on %s; renew it", chain, _day(facts.not_after_s))


def _doubt(name: str, chain: Path, facts: CertificateFacts) -> str | None:
    now = time.time()
    if now > facts.not_after_s:
        return f"{chain}: has expired on {_day(facts.not_after_s)}; renew it and replace the file"
    if now < facts.not_before_s:
        return f"{chain}: is valid only from {_day(facts.not_before_s)} on; look at the clock"
    if not facts.covers(name):
        return f"{chain}: is for {_listed(facts)}, not for {name}; name the file after its host"
    return None


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _listed(facts: CertificateFacts) -> str:
    return ", ".join(facts.names[:5]) or "no name"
