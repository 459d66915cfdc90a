"""Parses `app.entry`, in gunicorn's syntax and a little more; never runs it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

_MODULE = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")
_DEFAULT = "application"  # gunicorn's


@dataclass(frozen=True)
class Call:
    """The literal arguments of a factory."""

    args: tuple[object, ...]
    keywords: tuple[str, ...]


@dataclass(frozen=True)
class AppEntry:
    """`module:name`, `module:name(...)`, or with `is_plain` false a longer expression, as in
    `module:object.attribute` or `module:Class(...).app()`. `call` belongs to `name`."""

    module: str
    expression: str
    name: str
    call: Call | None
    is_plain: bool

    @property
    def text(self) -> str:
        return f"{self.module}:{self.expression}"


def parse(text: str) -> AppEntry:
    """Raises ValueError with the reason."""
    module, colon, given = text.partition(":")
    if module.endswith(".py") or "/" in module:
        named = module.removesuffix(".py").strip("./").replace("/", ".")
        raise ValueError(f"expected a module, not a file: `{named}:{given or 'app'}`")
    if not _MODULE.match(module):
        raise ValueError(f"expected module:attribute, e.g. `shop.web:app`, got {text!r}")
    expression = given.strip() if colon else _DEFAULT
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(_expected(expression)) from None
    name, call = _begin(tree, expression)
    plain = isinstance(tree, ast.Name) or (
        isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)
    )
    return AppEntry(module, expression, name, call, plain)


def _begin(tree: ast.expr, text: str) -> tuple[str, Call | None]:
    """The name that the expression begins with, and that name's own call."""
    call: Call | None = None
    while not isinstance(tree, ast.Name):
        call = None
        if isinstance(tree, ast.Attribute):
            tree = tree.value
        elif isinstance(tree, ast.Call):
            call = _literal(tree, text)
            tree = tree.func
        else:
            raise ValueError(_expected(text))
    return tree.id, call


def _literal(call: ast.Call, text: str) -> Call:
    keywords = [one.arg for one in call.keywords]
    try:
        args = tuple(ast.literal_eval(one) for one in call.args)
        for one in call.keywords:
            ast.literal_eval(one.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"the arguments of {text} must be literals: texts, numbers") from None
    if None in keywords:
        raise ValueError(f"the arguments of {text} must be literals: texts, numbers")
    return Call(args, tuple(str(one) for one in keywords))


def _expected(text: str) -> str:
    return f"expected an attribute or a call, e.g. `app` or `create_app()`, got {text!r}"
