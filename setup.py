"""Build: what pyproject.toml cannot say, that the accelerator needs greenlet's headers.

It is optional: where no compiler or no header is found the install goes on without it, and
core/loops.py does the same in Python.
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

setup(ext_modules=[SPEEDUPS] if sys.platform == "linux" else [])
