from __future__ import annotations

from typing import Any

from verdant import eventlet
from verdant.eventlet import backdoor


class Terminal:
    def __init__(self, port: int) -> None:
        self.sock = eventlet.connect(("127.0.0.1", port))
        self.read()

    def read(self) -> str:
        """What is shown up to the next prompt."""
        text = b""
        with eventlet.Timeout(10):
            while not text.endswith((b">>> ", b"... ")):
                data = self.sock.recv(100)
                if not data:
                    break
                text += data
        return text.decode()

    def type(self, line: str) -> str:
        self.sock.sendall(line.encode() + b"\n")
        return self.read()


def test_consoles() -> None:
    known: dict[str, Any] = {"answer": 42}
    listener = eventlet.listen(("127.0.0.1", 0))
    server = eventlet.spawn(backdoor.backdoor_server, listener, locals=known)
    port = listener.getsockname()[1]
    one, two = Terminal(port), Terminal(port)
    assert one.type("answer + 1").startswith("43\n")
    assert one.type("import sys") == ">>> "
    assert two.type("print('two')").startswith("two\n")
    assert one.type("for n in (1, 2):") == "... "
    assert one.type("    print(n)") == "... "
    assert one.type("").startswith("1\n2\n")
    assert "ZeroDivisionError" in two.type("1 / 0")
    assert "SyntaxError" in two.type("1 +")
    one.sock.close()
    assert two.type("'still here'").startswith("'still here'\n")
    two.sock.close()
    server.kill()
    listener.close()


def test_a_console_on_a_connection() -> None:
    listener = eventlet.listen(("127.0.0.1", 0))
    acceptor = eventlet.spawn(lambda: backdoor.backdoor(listener.accept(), {"name": "value"}))
    terminal = Terminal(listener.getsockname()[1])
    acceptor.wait()
    assert terminal.type("name").startswith("'value'\n")
    terminal.sock.close()
    listener.close()
