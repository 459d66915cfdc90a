"""Every key that tomllib reads has the place where it stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from cartwheel.settings.positions import Path, Position, positions

TEXT = '''\
# comment with [brackets] and = signs
title = "a # no comment"
[ owner . "quoted.key" ]   # spaces are allowed
  date = 1979-05-27 07:32:00
'literal' = 'it''
[a]
b.c = 1
b.d = [1, [2, 3], {x = "]", y.z = '}'}] # ]
long = """
[not.a.table]
key = "no key" ""\\"
""\"""
raw = \'\'\'
no = 'key\'\'\'\'
multi = [
  "one", # ,
  # "none"
  "two",
]
[[list]]
name = "first"
[list.inner]
k = true
[[list]]
name = 'second'
[[list.sub]]
z = 0x1F
[last]
x = +1e3'''
TEXT = TEXT.replace("'it''", "'it'")


def paths(value: Any, at: Path = ()) -> list[Path]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [p for key, inner in items for p in ((*at, key), *paths(inner, (*at, key)))]


def test_every_key_that_tomllib_reads_is_found_and_no_other() -> None:
    assert set(positions(TEXT)) == set(paths(tomllib.loads(TEXT)))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), "title"),
        (("owner", "quoted.key"), '"quoted.key" ]'),
        (("owner", "quoted.key", "date"), "date"),
        (("a", "b", "c"), "c = 1"),
        (("a", "b", "d"), "d = ["),
        (("a", "b", "d", 1, 1), "3]"),
        (("a", "b", "d", 2, "y", "z"), "z = '}'"),
        (("a", "raw"), "raw"),
        (("a", "multi", 1), '"two"'),
        (("list", 0, "inner", "k"), "k = true"),
        (("list", 1), "[[list]]"),
        (("list", 1, "name"), "name = 'second'"),
        (("list", 1, "sub", 0, "z"), "z ="),
        (("last", "x"), "x = +"),
    ],
)
def test_a_place_is_where_the_key_begins(path: Path, line: str) -> None:
    at = positions(TEXT)[path]
    assert TEXT.splitlines()[at.line - 1][at.column - 1 :].startswith(line)


def test_the_first_mention_of_a_table_counts() -> None:
    assert positions("[a.b]\n[a]\nx = 1")["a",] == Position(1, 2)


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n", "a=1", "a = 1 # end"])
def test_small_texts(text: str) -> None:
    assert set(positions(text)) == set(paths(tomllib.loads(text)))
