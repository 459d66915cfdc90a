"""Whether a command printed what its page shows.

Times, sizes, versions, addresses, hashes and ids differ from run to run, so they are patterns. All
else is compared, but for the width of spaces. A line `...` stands for any lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

ANY = "..."

_UNITS = r"(?:s|ms|min|h|d|B|KB|MB|GB|%|seconds?|minutes?|hours?|days?|packages?|requests?)"
_SOME = {
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:[+-]\d\d:?\d\d|Z)?": (
        r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:[+-]\d\d:?\d\d|Z)?"
    ),
    r"\d{4}-\d\d-\d\d": r"\d{4}-\d\d-\d\d",
    r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d+)?\b": r"\d+\.\d+\.\d+\.\d+(?::\d+)?",
    r"\b\d\d:\d\d(?::\d\d)?\b": r"\d\d:\d\d(?::\d\d)?",
    rf"\b\d+(?:\.\d+)?(?: min \d+)? ?{_UNITS}(?!\w)": rf"\d+(?:\.\d+)?(?: min \d+)? ?{_UNITS}",
    r"\b(?=[a-f0-9]*\d)[a-f0-9]{7,64}\b": r"[a-f0-9]{7,64}",
    r"\b\d+(?:\.\d+)+\b": r"\d+(?:\.\d+)+",
    r"\b\d{5,}\b": r"\d{2,}",
    r"SHA256:[\w+/]{43}=?": r"SHA256:[\w+/]{43}=?",
}
_PART = re.compile("|".join(f"({part})" for part in _SOME))
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@lru_cache(maxsize=4096)
def _pattern(line: str) -> re.Pattern[str]:
    made, place = "", 0
    line = _flat(line)
    for part in _PART.finditer(line):
        made += re.escape(line[place : part.start()])
        made += list(_SOME.values())[(part.lastindex or 1) - 1]
        place = part.end()
    return re.compile(made + re.escape(line[place:]))


def _flat(line: str) -> str:
    return " ".join(_COLOUR.sub("", line).split())


def difference(expected: Sequence[str], printed: Sequence[str]) -> str:
    """The first expected line that was not printed in its place, or "" if all were.

    Blank lines count nowhere.
    """
    wanted = [line for line in expected if line.strip()]
    lines = [_flat(line) for line in printed if line.strip()]
    reached = {0}  # how many printed lines may be used up by the expected lines so far
    for line in wanted:
        if line.strip() == ANY:
            reached = set(range(min(reached), len(lines) + 1))
            continue
        pattern = _pattern(line)
        following = {n + 1 for n in reached if n < len(lines) and pattern.fullmatch(lines[n])}
        if not following:
            place = min(reached)
            found = lines[place] if place < len(lines) else "(nothing more)"
            return f"expected: {_flat(line)}\n   found: {found}"
        reached = following
    if len(lines) not in reached:
        return f"expected: (nothing more)\n   found: {lines[min(reached)]}"
    return ""
