"""Queries: text to tree, tree to plan, groups to a table."""

from verdant.logs.query.cursor import pointed_at
from verdant.logs.query.filters import compile_condition
from verdant.logs.query.plan import Order, Plan, make_plan
from verdant.logs.query.skipping import may_match, only_app
from verdant.logs.query.syntax import parse_query
from verdant.logs.query.tables import Cell, Table, make_table, ordered, text_of
from verdant.logs.query.times import parse_span, parse_time
from verdant.logs.query.tree import Fields, Head, Query, Sort

__all__ = [
    "Cell",
    "Fields",
    "Head",
    "Order",
    "Plan",
    "Query",
    "Sort",
    "Table",
    "compile_condition",
    "make_plan",
    "make_table",
    "may_match",
    "only_app",
    "ordered",
    "parse_query",
    "parse_span",
    "parse_time",
    "pointed_at",
    "text_of",
]
