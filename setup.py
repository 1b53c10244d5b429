"""Build: what pyproject.toml cannot say, that an accelerator needs greenlet's headers.

Both are optional: where no compiler or no header is found the install goes on without them, and
core/loops.py and zmq/calls.py do the same in Python.
"""

import sys
from pathlib import Path

import greenlet
from setuptools import Extension, setup

SPEEDUPS = Extension(
    "verdant.core._speedups",
    sources=["src/verdant/core/_speedups.c", "src/verdant/core/_speedups_chunks.c"],
    depends=["src/verdant/core/_speedups.h"],
    # The headers lie in the package, and are included as greenlet/greenlet.h.
    include_dirs=[str(Path(greenlet.__file__).parents[1])],
    optional=True,
)

ZMQ_SPEEDUPS = Extension(
    "verdant.zmq._speedups",
    sources=["src/verdant/zmq/_speedups.c"],
    include_dirs=[str(Path(greenlet.__file__).parents[1])],
    optional=True,
)

setup(ext_modules=[SPEEDUPS, ZMQ_SPEEDUPS] if sys.platform == "linux" else [])
