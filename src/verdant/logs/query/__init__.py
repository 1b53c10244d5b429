"""Queries: text to terms to a condition."""

from verdant.logs.query.filters import compile_condition
from verdant.logs.query.syntax import Query, Term, parse_query
from verdant.logs.query.times import parse_time

__all__ = ["Query", "Term", "compile_condition", "parse_query", "parse_time"]
