"""Numbers that depend on the host: arithmetic over `cpus` only."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

_MAX_CHARACTERS = 100
_MAX_RESULT = 10_000
_CPUS_TRIED = (1, 2, 4, 8, 64, 256)

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_CALLS: dict[str, Callable[..., float]] = {"min": min, "max": max}


def evaluate(formula: str, cpus: int) -> int:
    """The formula's value for a host with `cpus` processors, rounded down, at least 1.

    It accepts numbers, `cpus`, + - * / // %, parentheses, min() and max().
    Raises ValueError with the reason; never runs code.
    """
    if len(formula) > _MAX_CHARACTERS:
        raise ValueError(f"a formula has at most {_MAX_CHARACTERS} characters")
    try:
        tree = ast.parse(formula.strip(), mode="eval")
    except (SyntaxError, ValueError):
        raise ValueError(f"{formula!r} is not arithmetic over `cpus`") from None
    try:
        value = _value(tree.body, cpus)
    except ZeroDivisionError:
        raise ValueError(f"{formula!r} divides by zero for {cpus} cpus") from None
    except OverflowError:
        raise ValueError(f"{formula!r} is too large for {cpus} cpus") from None
    if not math.isfinite(value) or value > _MAX_RESULT:
        raise ValueError(f"{formula!r} is too large for {cpus} cpus")
    return max(1, math.floor(value))


def check(formula: str) -> None:
    """Raises ValueError if a host of a usual size could not evaluate it."""
    for cpus in _CPUS_TRIED:
        evaluate(formula, cpus)


def _value(node: ast.expr, cpus: int) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id="cpus"):
            return cpus
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, cpus)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, cpus), _value(right, cpus))
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]) if name in _CALLS:
            values = [_value(arg, cpus) for arg in args]
            return _CALLS[name](values)
    raise ValueError(f"a formula may not contain `{ast.unparse(node)}`; only `cpus` and numbers")
