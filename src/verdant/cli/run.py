"""Run: a script under the patched stdlib, as `python -m verdant.cli.run SCRIPT [ARGUMENT]...`.

Place     cli; beside users the only one to call the patcher. `verdant run` becomes this program by
          exec, so that no module of its own command line was imported before the patch.
Promise   the script sees what `python script.py` would show it: its name, arguments and import
          path. Whatever it imports is imported after the patch.
Not here  the command's options and help (main.py).
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import TYPE_CHECKING

from verdant.patcher import monkey_patch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run_script"]


def run_script(path: str, argv: Sequence[str] = ()) -> None:
    """Patch the stdlib, then run the Python file `path` as `__main__` with arguments `argv`. Parks.

    Raises what the script raises (SystemExit when it exits), OSError when it cannot be read.
    """
    monkey_patch()
    sys.argv[:] = [path, *argv]
    # As Python does: the script's directory in place of the launcher's.
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    run_script(sys.argv[1], sys.argv[2:])
