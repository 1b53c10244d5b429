"""Patching: the stdlib's blocking calls replaced by green ones."""

from verdant.patcher.checks import PatchWarning
from verdant.patcher.installer import PatchError, is_patched, monkey_patch, original

__all__ = ["PatchError", "PatchWarning", "is_patched", "monkey_patch", "original"]
