"""The sleep that does not yield: python sleep_keeps_all.py [SECONDS]

Green threads share one native thread and take turns where they wait. `time.sleep`, unpatched, is
no such place: it stops the native thread, so the two sleeps come one after the other.
"""

import sys
import time

from verdant import spawn


def main(seconds: float) -> None:
    """Sleep in two green threads, natively."""

    def thread1() -> None:
        print("a lies down")
        time.sleep(seconds)  # does not yield
        print(f"{seconds:g} seconds a")

    thread = spawn(thread1)
    print("b lies down")
    time.sleep(seconds)  # does not yield
    print(f"{seconds:g} seconds b")
    thread.wait()


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 5)
