"""A queue between a producer and a worker: python work_queue.py [JOBS] [SECONDS]

The queue is bounded, so a producer that is faster than its worker waits for it. The talk's two
loops ran for ever; without JOBS these do too.
"""

import sys
from itertools import count

from verdant import Queue, sleep, spawn


def main(jobs: int | None, seconds: float) -> None:
    """Produce a job each `seconds`, and print it elsewhere."""
    queue: Queue[str | None] = Queue(10)

    def worker() -> None:
        while (job := queue.get()) is not None:
            print(job, flush=True)

    def producer() -> None:
        for number in count() if jobs is None else range(jobs):
            sleep(seconds)
            queue.put(f"lol {number}")
        queue.put(None)

    threads = [spawn(worker), spawn(producer)]
    for thread in threads:
        thread.wait()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if sys.argv[1:] else None,
        float(sys.argv[2]) if sys.argv[2:] else 1,
    )
