"""Greening by import: python green_by_import.py

`verdant.green` has cooperative twins of the stdlib's modules under the stdlib's names. Whoever
imports those changes nothing for the rest of the program.
"""

from verdant import spawn
from verdant.green import socket, time  # instead of: import socket, time


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
        # Parks here, so that the other one runs. A plain socket would wait for ever.
        print(here.recv(100).decode())


if __name__ == "__main__":
    main()
