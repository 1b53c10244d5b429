"""The runtime's tests on every other CPython of this machine. `python -m pythons [VERSION]...`

Place     tests/pythons; `make test-pythons` runs it.
Promise   one line per interpreter; exit status 0 when all of them passed, 1 when one did not or
          none was found.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pythons.interpreters import VERSIONS, others
from pythons.rooms import AT_ONCE, run_rooms


def main(versions: list[str]) -> int:
    """Run the tests on `versions`, or on all there are. Returns the exit status."""
    say = partial(print, flush=True)
    found = [each for each in others() if not versions or each.version in versions]
    if not found:
        say(f"no other CPython of {', '.join(VERSIONS)} in the path or under pyenv")
        return 1
    failed = False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for report in pool.map(run_rooms, found):
            version = report.interpreter.version
            say(f"CPython {version}: {report.summary} ({report.seconds:.0f} s in all)")
            if not report.passed:
                failed = True
                say(report.output[-20_000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
