"""The full run: every row, unpatched and patched, and a table of them. `python -m stdlib [ROW]...`

Place     tests/stdlib; `make test-stdlib` runs it.
Promise   exit status 0 when every loss has its reason, no reason is stale, and no row has less than
          the better of the two peers; the total is held to its minimum when all rows were run.
Not here  the rows that every test run has (test_rows.py).
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from stdlib.judgement import judge_row
from stdlib.rows import ROWS, ROWS_AT_ONCE, TOTAL_MIN

_HEAD = ("row", "counted", "eventlet", "gevent", "verdant", "second try")
_LINE = "{:26}{:>8}{:>10}{:>8}{:>9}{:>12}"


def main(names: list[str]) -> int:
    """Run the rows `names`, or all. Returns the exit status."""
    strange = set(names) - {row.name for row in ROWS}
    if strange:
        print("no such row: " + ", ".join(sorted(strange)), file=sys.stderr)  # noqa: T201
        return 2
    rows = [row for row in ROWS if not names or row.name in names]
    logs = Path(tempfile.mkdtemp(prefix="stdlib-"))
    say = partial(print, flush=True)
    say(f"what the tests print is kept in {logs}")
    with ThreadPoolExecutor(ROWS_AT_ONCE) as pool:
        futures = [pool.submit(judge_row, row, log=logs / f"{row.name}.log") for row in rows]
        judgements = []
        for row, future in zip(rows, futures, strict=True):
            judgements.append(future.result())
            say(f"{row.name} is done")
    faults = [fault for judgement in judgements for fault in judgement.faults()]
    say()
    say(_LINE.format(*_HEAD))
    for judgement in judgements:
        row = judgement.row
        figures = (judgement.counted, row.eventlet, row.gevent, judgement.passed)
        say(_LINE.format(row.name, *figures, len(judgement.again)))
    passed = sum(judgement.passed for judgement in judgements)
    peers = sum(row.eventlet for row in rows), sum(row.gevent for row in rows)
    counted = sum(judgement.counted for judgement in judgements)
    say(_LINE.format("all", counted, *peers, passed, ""))
    if not names and passed < TOTAL_MIN:
        faults.append(f"{passed} pass in all, fewer than {TOTAL_MIN}")
    for fault in faults:
        say(f"\nFAULT {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
