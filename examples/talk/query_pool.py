"""Ten green threads, three database connections: python query_pool.py DATABASE ID...

`Pool` lends what is dear to make, `GreenPool` bounds how much goes on at once; `imap` gives the
results in the order of the ids, each as soon as it is there. SQLite waits for the disk inside C,
where no patch reaches, so each connection stands behind a proxy that calls it in native threads.
"""

import sqlite3
import sys
from functools import partial

from verdant import GreenPool, Pool, WorkerProxy, run_in_worker


def make_db_connection(path: str) -> WorkerProxy:
    """Connect to the SQLite file `path`."""
    # The worker threads take turns with it, and the pool lends it to one caller at a time.
    connect = partial(sqlite3.connect, path, check_same_thread=False)
    return WorkerProxy(run_in_worker(connect), wrap=(sqlite3.Cursor,))


def main(path: str, ids: list[int]) -> None:
    """Print the name of each user in `ids`."""
    opened: list[WorkerProxy] = []

    def create() -> WorkerProxy:
        opened.append(make_db_connection(path))
        return opened[-1]

    connections = Pool(create=create, max_size=3)
    threads = GreenPool(10)

    def querier(user: int) -> str:
        with connections.item() as connection:
            row = connection.execute("SELECT name FROM users WHERE id = ?", [user]).fetchone()
        return f"{user}: {row[0] if row else 'nobody'}"

    for line in threads.imap(querier, ids):
        print(line)
    for connection in opened:
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1], [int(argument) for argument in sys.argv[2:]])
