"""A page's output is compared with what was printed; what changes is a pattern."""

from __future__ import annotations

import pytest

from book.output import difference


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        (
            "lab1  deployed  1.0.0.eb25fc6c  nothing  5.3 s",
            "lab1 deployed 1.0.2.00ffc0d1 nothing 12 s",
        ),
        ("[here] = test 5 passed in 0.43s (0.1 s)", "[here] = test 5 passed in 1.2s (12.1 s)"),
        ("open: http://127.0.1.11/ (answers 200)", "open: http://127.0.13.2:8080/ (answers 200)"),
        ("since 2026-11-30 10:11:12", "since 2027-01-02 03:04:05"),
        ("Python 3.11.7, glibc 2.36", "Python 3.13.1, glibc 2.41"),
        ("SHA256:" + "a" * 43, "SHA256:" + "B/" * 21 + "+"),
        ("a   b", "a b"),
        ("plain", "\x1b[32mplain\x1b[0m"),
    ],
)
def test_what_changes_is_a_pattern(shown: str, printed: str) -> None:
    assert difference([shown], [printed]) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("error: not healthy [CW602]", "error: not healthy [CW603]"),
        ("open: / (answers 200)", "open: / (answers 502)"),
        ("5 passed", "4 passed"),
        ("lab1 deployed", "lab1 rolled back"),
        ("deployed", "deployed twice"),
    ],
)
def test_what_means_something_is_compared(shown: str, printed: str) -> None:
    assert f"expected: {shown}\n   found: {printed}" == difference([shown], [printed])


@pytest.mark.parametrize(
    ("shown", "printed", "differs"),
    [
        (["a", "...", "d"], ["a", "b", "c", "d"], False),
        (["...", "d"], ["d"], False),
        (["...", "d"], ["d", "e", "d"], False),
        (["a", "..."], ["a"], False),
        (["a"], ["a", "b"], True),
        (["a", "b"], ["a"], True),
        (["...", "x"], ["a", "b"], True),
        (["a", "...", "b", "...", "c"], ["a", "c", "b", "c"], False),
        (["a", "", "b"], ["", "a", "b", ""], False),
    ],
)
def test_three_dots_stand_for_any_lines(
    shown: list[str], printed: list[str], differs: bool
) -> None:
    assert bool(difference(shown, printed)) is differs
