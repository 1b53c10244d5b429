"""Keys: CURVE key pairs, and the files that keep them.

Place     zmq. Touches files; `verdant keys new` and every secured port come here.
Promise   a secret file is mode 0600 from its first byte, appears whole or not at all, and is never
          overwritten unless that is asked for. A secret that everybody can read is refused. A
          secret shows in no `repr`.
Not here  who is let in (zap.py), sockets (security.py).

The files are ZPL (ZeroMQ RFC 4) as zmq.auth and czmq's zcert write and read them, so rsyslog's
omczmq and imczmq take them as they are:

    web.key            metadata, curve / public-key
    web.key_secret     the same and curve / secret-key

Keys are 32 bytes, written as 40 characters of Z85 (RFC 32).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from verdant.zmq.errors import BadKeyFile

__all__ = [
    "KeyPair",
    "allowed_keys",
    "checked_key",
    "new_keys",
    "parse_key_file",
    "read_keys",
    "read_public",
    "write_keys",
]

KEY_CHARACTERS = 40
# Two keys and some metadata; a larger file is something else.
KEY_FILE_BYTES_MAX = 64 * 1024

PUBLIC_SUFFIX = ".key"
SECRET_SUFFIX = ".key_secret"

_name_fits = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}").fullmatch
_key_line = re.compile(r"\s*(public-key|secret-key)\s*=\s*[\"']?([^\s\"']*)[\"']?\s*").fullmatch

_PUBLIC_BANNER = """\
#   ZeroMQ CURVE public certificate of {name}, written by verdant.
#   Give it to the peers that should know {name}.

"""
_SECRET_BANNER = """\
#   ZeroMQ CURVE **secret** certificate of {name}, written by verdant.
#   Whoever can read this file is {name}: give it to nobody.

"""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair, both halves in Z85."""

    public: bytes
    secret: bytes = field(repr=False)


def new_keys() -> KeyPair:
    """A fresh key pair. Does not park. Source: zmq_curve_keypair(3)."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public, secret)


def checked_key(text: str | bytes) -> bytes:
    """`text` as a key. Raises ValueError when it is not 40 characters of Z85."""
    try:
        key = text.encode("ascii") if isinstance(text, str) else bytes(text)
        if len(key) == KEY_CHARACTERS and len(z85.decode(key)) == 32:
            return key
    except (ValueError, KeyError, struct.error):
        # pyzmq's decoder: KeyError for a character that is none of Z85's, struct.error for five of
        # them over 2**32.
        pass
    raise ValueError(f"a CURVE key is {KEY_CHARACTERS} characters of Z85")


def parse_key_file(text: str) -> tuple[bytes | None, bytes | None]:
    """The public and the secret key in a certificate's text. Raises ValueError. Pure."""
    found: dict[str, bytes] = {}
    for line in text.splitlines():
        match = _key_line(line)
        if match is not None:
            found.setdefault(match[1], checked_key(match[2]))
    return found.get("public-key"), found.get("secret-key")


def _parsed(path: Path) -> tuple[bytes | None, bytes | None]:
    try:
        with path.open("rb") as file:
            data = file.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise BadKeyFile(f"{path}: cannot be read ({exc.strerror})") from exc
    if len(data) > KEY_FILE_BYTES_MAX:
        raise BadKeyFile(f"{path}: is over {KEY_FILE_BYTES_MAX} bytes; is this the right file?")
    try:
        return parse_key_file(data.decode("utf-8"))
    except ValueError as exc:
        raise BadKeyFile(f"{path}: is not a key file ({exc})") from exc


def read_keys(path: str | Path) -> KeyPair:
    """The key pair in the secret file `path`. Reads a file. Raises `BadKeyFile`."""
    path = Path(path)
    public, secret = _parsed(path)
    if public is None or secret is None:
        hint = ""
        if public is not None and path.suffix == PUBLIC_SUFFIX:
            hint = f"; the secret one is called {path.name}_secret"
        raise BadKeyFile(f"{path}: has no secret key{hint}")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IRWXO:
        raise BadKeyFile(
            f"{path}: everybody on this machine can use it (mode {mode:04o}); chmod 600 {path}"
        )
    return KeyPair(public, secret)


def read_public(path: str | Path) -> bytes:
    """The public key in `path`. Reads a file. Raises `BadKeyFile`.

    For a secret file the public one beside it is read when there is one, so that a client needs no
    right to the server's secret.
    """
    path = Path(path)
    if path.name.endswith(SECRET_SUFFIX):
        beside = path.with_name(path.name.removesuffix("_secret"))
        if beside.exists():
            path = beside
    public, _ = _parsed(path)
    if public is None:
        raise BadKeyFile(f"{path}: has no public key")
    return public


def allowed_keys(directory: str | Path) -> dict[bytes, str]:
    """The public keys of all `*.key` files in `directory`, each with its file's name.

    Reads files. Raises `BadKeyFile`, also for one bad file among good ones: a client that is
    missing for no visible reason is worse than a message that names the file.
    """
    directory = Path(directory)
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == PUBLIC_SUFFIX)
    except OSError as exc:
        raise BadKeyFile(f"{directory}: cannot be read ({exc.strerror})") from exc
    return {read_public(path): path.stem for path in paths}


def write_keys(
    name: str, directory: str | Path = ".", *, keys: KeyPair | None = None, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write a key pair (a new one, or `keys`) as `name`; returns the public and the secret path.

    Writes two files into `directory`, which it makes (mode 0700) when it is not there. Raises
    `BadKeyFile`, and for files that exist unless `overwrite`.
    """
    if not _name_fits(name):
        raise BadKeyFile(
            f"{name!r} cannot name key files: letters, digits and any of _ . @ - , 100 at most"
        )
    pair = keys or new_keys()
    directory = Path(directory)
    public_path, secret_path = (
        directory / f"{name}{PUBLIC_SUFFIX}",
        directory / (name + SECRET_SUFFIX),
    )
    body = f'metadata\n    name = "{name}"\ncurve\n    public-key = "{pair.public.decode()}"\n'
    secret_body = body + f'    secret-key = "{pair.secret.decode()}"\n'
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not overwrite:
            for path in (secret_path, public_path):
                if path.exists():
                    raise FileExistsError(f"{path}: exists; another name, or say to overwrite it")
        # The secret first: a public file alone would be given away and open nothing.
        _put(secret_path, _SECRET_BANNER.format(name=name) + secret_body, 0o600, overwrite)
        _put(public_path, _PUBLIC_BANNER.format(name=name) + body, 0o644, overwrite)
    except FileExistsError as exc:
        raise BadKeyFile(str(exc)) from exc
    except OSError as exc:
        raise BadKeyFile(f"{directory}: cannot be written ({exc.strerror})") from exc
    return public_path, secret_path


def _put(path: Path, text: str, mode: int, overwrite: bool) -> None:
    """Write a file that appears whole; `link` refuses a name that exists, `rename` replaces it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            beside.replace(path)
            return
        try:
            path.hardlink_to(beside)
        except FileExistsError:
            raise FileExistsError(f"{path}: exists; another name, or say to overwrite it") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
