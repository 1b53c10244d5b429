"""Programs in processes of their own, as in the room of the patch."""

from isolated.conftest import run_patched, run_program

__all__ = ["run_patched", "run_program"]
