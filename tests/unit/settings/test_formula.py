"""Formulas are arithmetic over cpus and never code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartwheel.settings.formula import evaluate


@pytest.mark.parametrize(
    ("formula", "cpus", "value"),
    [
        ("cpus * 2 + 1", 4, 9),
        ("4", 64, 4),
        ("(cpus + 1) // 2", 4, 2),
        ("cpus / 2", 5, 2),
        ("min(cpus, 4)", 64, 4),
        ("max(2, min(cpus - 1, 8))", 1, 2),
        ("cpus - 10", 2, 1),
        ("-cpus + 12", 4, 8),
        ("cpus % 3", 8, 2),
        (" 1.5 * cpus ", 3, 4),
    ],
)
def test_a_formula_has_a_value(formula: str, cpus: int, value: int) -> None:
    assert evaluate(formula, cpus) == value


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "cpu",
        "cpus **  9",
        "9" * 200,
        "__import__('os')",
        "cpus.real",
        "[cpus]",
        "True",
        "'4'",
        "min()",
        "min(cpus, key=4)",
        "abs(cpus)",
        "cpus if cpus else 1",
        "1 / (cpus - 2)",
        "cpus * 1e9",
        "1e308 * 1e308",
        "1e308 * 1e308 - 1e308 * 1e308",
        "(lambda: 4)()",
        "cpus; 4",
        "cpus\n4",
        "\0",
    ],
)
def test_anything_else_is_refused_in_words(formula: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        evaluate(formula, 2)


@given(st.text(alphabet="cpus 0123456789.+-*/%(),minaxe'", max_size=110), st.integers(1, 512))
def test_any_text_is_a_number_or_a_value_error(formula: str, cpus: int) -> None:
    try:
        assert 1 <= evaluate(formula, cpus) <= 10_000
    except ValueError as error:
        assert str(error)
