"""Greening by patching: python green_by_patching.py

`monkey_patch()` makes the stdlib itself cooperative, for every library that stands on it. It comes
first; `verdant run SCRIPT` does it for a script that cannot.
"""

from verdant import monkey_patch, spawn

monkey_patch()

import socket  # noqa: E402 - the patch comes before what it patches
import time  # noqa: E402


def main() -> None:
    """Let two green threads talk over a pair of sockets."""
    here, there = socket.socketpair()

    def answer() -> None:
        question = there.recv(100)
        time.sleep(0.01)
        there.sendall(b"you said: " + question)

    with here, there:
        spawn(answer)
        here.sendall(b"hi there")
        # Parks here, so that the other one runs. Without the patch it would wait for ever.
        print(here.recv(100).decode())


if __name__ == "__main__":
    main()
