"""Patching: the stdlib's blocking calls replaced by green ones."""

from verdant.patcher.checks import PatchWarning
from verdant.patcher.importing import green_view, import_green, import_with, native_module
from verdant.patcher.installer import PatchError, is_patched, monkey_patch, original

__all__ = [
    "PatchError",
    "PatchWarning",
    "green_view",
    "import_green",
    "import_with",
    "is_patched",
    "monkey_patch",
    "native_module",
    "original",
]
