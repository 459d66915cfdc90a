"""The description of each setting: the text below it in toml_tables.py, read only when needed."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools

from pydantic import BaseModel

from cartwheel.settings import toml_tables


def description(table: type[BaseModel], key: str) -> str:
    """The description of a key of a table; empty for one that is a table itself."""
    known = _known()
    places = ((one.__name__, key) for one in table.__mro__)
    return next((known[place] for place in places if place in known), "")


@functools.cache
def _known() -> dict[tuple[str, str], str]:
    """(class, field) -> description."""
    found: dict[tuple[str, str], str] = {}
    for table in ast.parse(inspect.getsource(toml_tables)).body:
        if isinstance(table, ast.ClassDef):
            for field, below in itertools.pairwise(table.body):
                match field, below:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str() as text)),
                    ):
                        found[table.name, name] = " ".join(text.split())
    return found
