from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verdant.patcher.scanning import imported_names

NAMES = st.lists(st.sampled_from(["a", "b", "json", "socket"]), min_size=1, max_size=3).map(
    ".".join
)


def names_in(text: str, package: str = "") -> frozenset[str]:
    return imported_names(compile(text, "<text>", "exec"), package)


def test_every_form_of_import() -> None:
    text = """
import a, b.c
import d.e as f
from g import h, i as j
from k.l import *
from . import m
from .n import o
from ..p import q
def late():
    import r
    class S:
        def method(self):
            from t import u
            return lambda: __import__("never")
"""
    assert names_in(text, "pkg.sub") == {
        "a",
        "b.c",
        "d.e",
        "g",
        "g.h",
        "g.i",
        "k.l",
        "k.l.*",
        "pkg.sub",
        "pkg.sub.m",
        "pkg.sub.n",
        "pkg.sub.n.o",
        "pkg.p",
        "pkg.p.q",
        "r",
        "t",
        "t.u",
    }


def test_an_import_beyond_the_top_is_passed_over() -> None:
    assert names_in("from ... import x\nimport y", "pkg") == {"y"}


def test_nothing_is_executed() -> None:
    assert names_in("1 / 0\nimport a") == {"a"}


@given(st.lists(NAMES))
def test_plain_imports_are_found(names: list[str]) -> None:
    text = "\n".join(f"import {name}" for name in names)
    assert names_in(text) == set(names)
