"""TLS where a replaced `SSLContext` recurses for ever: subclasses, early contexts, truststore."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SETTERS = """
def set_everything(context):
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE
    assert context.options & ssl.OP_NO_COMPRESSION
"""


def test_the_context_class_is_the_stdlibs_own(run_program: Callable[..., str]) -> None:
    run_program(
        """
import ssl
before = ssl.SSLContext
class Early(ssl.SSLContext):
    pass
early = [Early(ssl.PROTOCOL_TLS_CLIENT), ssl.create_default_context()]
from verdant.patcher import monkey_patch
monkey_patch()
"""
        + SETTERS
        + """
assert ssl.SSLContext is before
class Late(ssl.SSLContext):
    def wrap_socket(self, *args, **kwargs):
        return super().wrap_socket(*args, **kwargs)
late = [Late(ssl.PROTOCOL_TLS_CLIENT), ssl.create_default_context()]
for context in early + late:
    set_everything(context)
    assert isinstance(context, ssl.SSLContext)
    left, right = __import__("socket").socketpair()
    with right, context.wrap_socket(left, do_handshake_on_connect=False) as tls:
        assert isinstance(tls, ssl.SSLSocket)
"""
    )


def test_truststore_and_requests(run_patched: Callable[..., str]) -> None:
    pytest.importorskip("truststore", reason="the package truststore is not installed")
    pytest.importorskip("requests", reason="the driver requests is not installed")
    run_patched(
        """
import ssl
import truststore
truststore.inject_into_ssl()
import requests, socket
"""
        + SETTERS
        + """
context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.minimum_version = ssl.TLSVersion.TLSv1_2
assert context.minimum_version is ssl.TLSVersion.TLSv1_2
# A server that speaks no TLS: the way through both libraries is what is tested.
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    for _ in range(5):
        client, _ = listener.accept()
        client.recv(1000)
        client.sendall(b"HTTP/1.1 400 no TLS here\\r\\n\\r\\n")
        client.close()
serving = spawn(serve)
def fetch():
    try:
        requests.get(f"https://localhost:{listener.getsockname()[1]}/")
    except requests.exceptions.SSLError as exc:
        return "WRONG_VERSION_NUMBER" in str(exc) or "RECORD_LAYER" in str(exc)
clients = [spawn(fetch) for _ in range(5)]
assert all(client.wait() for client in clients)
serving.wait()
listener.close()
"""
    )
