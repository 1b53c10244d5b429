"""TLS: a stream whose bytes are encrypted, and the contexts that say how.

Place     net, on a plain green socket and the stdlib's `ssl`; listener.py and server.py make them.
Promise   an end of the stream is one that the peer meant (close_notify); a connection that was cut
          raises `TlsBroken`, so what is framed by the close cannot be truncated in silence. Half a
          close is kept: after `send_eof` the other direction goes on.
Not here  sockets that look like the stdlib's (green/ssl.py); certificates from anywhere.

    recv ◀── SSLObject ◀── incoming ◀── socket      sendall ──▶ SSLObject ──▶ outgoing ──▶ socket

Why memory buffers and not an `SSLSocket` with the handshake done: OpenSSL on a descriptor answers a
one-sided shutdown by reading on at once, and data that is just arriving then breaks the session
(APPLICATION_DATA_AFTER_CLOSE_NOTIFY). Between buffers we decide what it sees. It also reads a whole
receive at once, where OpenSSL asks the kernel twice per record.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from verdant.core import Timeout
from verdant.errors import VerdantError
from verdant.green.ssl import SSLSocket
from verdant.net.stream import Stream
from verdant.sync import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from verdant.green.socket import socket

__all__ = [
    "HANDSHAKE_S_MAX",
    "TlsBroken",
    "TlsStream",
    "tls_client_context",
    "tls_context_by_name",
    "tls_server_context",
]

# A handshake is two round trips and some ten milliseconds of work; slower ones are attacks.
HANDSHAKE_S_MAX = 10.0

# Two full records with their frames: a large body takes few turns, an idle peer no memory.
RECEIVE_BYTES = 33 * 1024
# Encrypted at once: what the kernel takes in about one go, so that ciphertext does not pile up.
WRITE_BYTES = 64 * 1024


class TlsBroken(VerdantError, ConnectionError):
    """Raised when a TLS connection ends without a close_notify, or carries a damaged record.

    The peer's fault, or the network's: what was received may be only the beginning.
    """

    code = "net-tls-broken"


def tls_server_context(
    certificate: str | Path,
    key: str | Path | None = None,
    *,
    password: str | None = None,
    client_ca: str | Path | None = None,
    alpn: Sequence[str] = ("http/1.1",),
) -> ssl.SSLContext:
    """A context for the serving side: TLS 1.2 or later, no compression, no renegotiation.

    `certificate`: a PEM file with the chain, leaf first. `key`: the PEM file of its key, when that
    is not in the same file; `password` opens it. `client_ca`: PEM file of the authorities one of
    which must have signed the client's certificate; None asks clients for none. `alpn`: protocols
    offered, most wanted first. Raises OSError (`ssl.SSLError`) for files that do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, alpn)
    context.load_cert_chain(certificate, key, password)
    if client_ca is not None:
        _ask_clients(context, client_ca)
    return context


def _ask_clients(context: ssl.SSLContext, authorities: str | Path) -> None:
    context.load_verify_locations(authorities)
    context.verify_mode = ssl.CERT_REQUIRED


def tls_context_by_name(
    choose: Callable[[str | None], ssl.SSLContext | None],
    *,
    client_ca: str | Path | None = None,
    alpn: Sequence[str] = ("http/1.1",),
) -> ssl.SSLContext:
    """A context for the serving side that has no certificate, but asks `choose` for one by name.

    `choose`: given the name that the client asks for (RFC 6066 section 3, in lower case), or None
    when it names none; returns a context of `tls_server_context`, or None, and then the client
    hears `unrecognized_name`. Called in the middle of a handshake: it must not park, nor raise.
    `client_ca`, `alpn`: as there, and the chosen contexts must have been given the same: each of
    the two decides some of it. Session tickets are this context's, so they outlive a certificate.
    Raises OSError (`ssl.SSLError`) for a file that does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, alpn)
    if client_ca is not None:
        _ask_clients(context, client_ca)

    def on_name(
        session: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext
    ) -> int | None:
        found = choose(None if name is None else name.lower())
        if found is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        session.context = found
        return None

    context.sni_callback = on_name
    return context


def tls_client_context(
    *,
    ca: str | Path | None = None,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    alpn: Sequence[str] = ("http/1.1",),
) -> ssl.SSLContext:
    """A context for the asking side: as for servers, and the peer's name is always checked.

    `ca`: a PEM file of authorities to trust instead of the system's. `certificate` and `key`: what
    to show a server that asks. Raises OSError (`ssl.SSLError`) for files that do not fit.
    """
    context = ssl.create_default_context(cafile=ca)
    _harden(context, alpn)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def _harden(context: ssl.SSLContext, alpn: Sequence[str]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # Sockets that others wrap with this context park like all of ours.
    context.sslsocket_class = SSLSocket
    if alpn:
        context.set_alpn_protocols([*alpn])


class TlsStream(Stream):
    """A stream over TLS. `tls` is the session: `getpeercert()`, `version()`, and the like.

    Its `socket` carries ciphertext: send and receive through the stream alone. Make one, then
    call `handshake`. Any number of green threads may send, one may receive.
    """

    __slots__ = (
        "_ahead",
        "_broken",
        "_finished",
        "_flushing",
        "_incoming",
        "_outgoing",
        "_send_all",
        "tls",
    )

    def __init__(
        self,
        socket: socket,
        peer: object,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__(socket, peer)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side, server_hostname=server_hostname
        )
        # Received in order to send an end, before anybody asked for it.
        self._ahead = b""
        # Nothing can be sent any more, not even an end: it would vouch for what was cut.
        self._broken = False
        # We have said that we will send no more.
        self._finished = False
        self._flushing = Lock()
        # Of ciphertext, as `_recv` is.
        self._send_all = self.sendall
        self.sendall = self._sendall

    def handshake(self, timeout_s: float | None = HANDSHAKE_S_MAX) -> None:
        """Agree on keys with the peer. Parks.

        `timeout_s`: seconds for all of it. Raises `ssl.SSLError` (a certificate that is refused is
        an `ssl.SSLCertVerificationError`), OSError, `Timeout`; then only `close` is left to do.
        """
        try:
            with Timeout(timeout_s):
                while True:
                    try:
                        self.tls.do_handshake()
                    except ssl.SSLWantReadError:
                        self._flush()
                        self._feed()
                    else:
                        break
                self._flush()
        except BaseException:
            if self._outgoing.pending:
                # The alert that tells the peer why. It fits into any buffer, or is not worth it.
                self._send_at_once()
            self._broken = True
            raise

    def recv(self, bytes_max: int) -> bytes:
        """Receive at most `bytes_max` bytes; b"" when the peer has finished. Parks.

        Raises `TlsBroken` when it vanished instead.
        """
        if self._ahead:
            data, self._ahead = self._ahead[:bytes_max], self._ahead[bytes_max:]
            return data
        while True:
            try:
                data = self.tls.read(bytes_max)
            except ssl.SSLWantReadError:
                self._answer()
                self._feed()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as exc:
                if self._aborted:
                    return b""
                self._broken = True
                raise TlsBroken(f"the TLS connection was cut: {exc.reason or exc}") from exc
            else:
                return data

    def _sendall(self, data: Any) -> None:  # noqa: ANN401 - bytes, or what memoryview takes
        if self._broken or self._finished:
            raise TlsBroken("the TLS connection cannot send any more")
        if len(data) <= WRITE_BYTES:
            self._write(data)
            return
        view = memoryview(data).cast("B")
        for start in range(0, len(view), WRITE_BYTES):
            self._write(view[start : start + WRITE_BYTES])

    def _write(self, data: Any) -> None:  # noqa: ANN401 - as above
        if not data:
            return
        while True:
            try:
                # Into memory, so all of it.
                self.tls.write(data)
                break
            except ssl.SSLWantReadError:
                # Renegotiation, under a caller's own context.
                self._flush()
                self._feed()
            except ssl.SSLError as exc:
                self._broken = True
                raise TlsBroken(f"the TLS connection cannot send: {exc.reason or exc}") from exc
        self._flush()

    def _flush(self) -> None:
        outgoing = self._outgoing
        try:
            # Records must not interleave, and a send may park in the middle of one.
            with self._flushing:
                while outgoing.pending:
                    self._send_all(outgoing.read())
        except BaseException:
            # Half a record may have gone out: nothing that follows would be understood.
            self._broken = True
            raise

    def _answer(self) -> None:
        # What reading made OpenSSL say (a key update). Whoever is sending takes it along: waiting
        # for a peer that does not read, before reading from it, would stop both.
        if self._outgoing.pending and not self._flushing.locked():
            self._flush()

    def _feed(self) -> None:
        try:
            data = self._recv(RECEIVE_BYTES)
        except ConnectionError:
            data = b""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def send_eof(self) -> None:
        """Finish sending; receiving goes on. Parks while the peer does not read."""
        if self._broken or self._finished:
            return
        self._close_notify()
        with contextlib.suppress(OSError):
            self._flush()
        super().send_eof()

    def _close_notify(self) -> None:
        self._finished = True
        try:
            while pending := self.tls.pending():
                self._ahead += self.tls.read(pending)
            arrived = self._incoming.read()
            try:
                # Writes the close_notify, then finds nothing to read, which is what we want.
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._incoming.write(arrived)
        except (ssl.SSLError, OSError):
            self._broken = True

    def _send_at_once(self) -> None:
        # What the kernel takes now; never parks.
        self.socket.settimeout(0)
        with contextlib.suppress(OSError):
            self.socket.send(self._outgoing.read())

    def abort(self) -> None:
        """As for any stream; and the peer is told nothing that looks like an end."""
        self._broken = True
        super().abort()

    def break_off(self) -> None:
        """As for any stream; and the peer is told nothing that looks like an end."""
        self._broken = True
        super().break_off()

    def is_stale(self) -> bool:
        """True when an idle connection has something to read, session tickets apart."""
        if self._ahead or self.tls.pending():
            return True
        if super().is_stale():
            self._feed()
        elif not self._incoming.pending:
            return False
        try:
            # One byte more or less: a peer that speaks out of turn is not asked again.
            self.tls.read(1)
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            return True
        return True

    def close(self) -> None:
        """Close; the peer is told that this is the end, unless something was cut. Does not park."""
        if self.socket.fileno() >= 0 and not (self._broken or self._finished):
            self._close_notify()
            if self._outgoing.pending and not self._flushing.locked():
                self._send_at_once()
        super().close()
