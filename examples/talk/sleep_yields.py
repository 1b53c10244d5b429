"""The sleep that yields: python sleep_yields.py [SECONDS]

As sleep_keeps_all.py, with `verdant.sleep`: while one sleeps the other runs, and both sleep at
once.
"""

import sys

from verdant import sleep, spawn


def main(seconds: float) -> None:
    """Sleep in two green threads, side by side."""

    def thread1() -> None:
        print("a lies down")
        sleep(seconds)
        print(f"{seconds:g} seconds a")

    thread = spawn(thread1)
    print("b lies down")
    sleep(seconds)
    print(f"{seconds:g} seconds b")
    thread.wait()


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 5)
