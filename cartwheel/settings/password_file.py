"""Users and passwords for basic authentication: lines NAME:HASH, as the web servers read them.

A web server computes the hash for each request in the process that serves all others, so a costly
kind of hash would make every visitor wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAKE_ONE = "make one with `openssl passwd -6`"
# With 5,000 rounds, openssl's and glibc's default, a check takes 2 to 3 ms (docs/door.md).
MAX_ROUNDS = 10_000

_NAME = re.compile(r"[^\x00-\x20:#\x7f][^\x00-\x1f:\x7f]*")
_HASH = re.compile(
    r"\$(?:5\$(?:rounds=(\d+)\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"
    r"|6\$(?:rounds=(\d+)\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86})"
)
_KINDS = {
    r"\$2[abxy]?\$": "bcrypt takes the web server too long",
    r"\$g?y\$": "yescrypt takes the web server too long",
    r"\$7\$": "scrypt takes the web server too long",
    r"\$argon2": "no web server knows argon2",
    r"\$apr1\$|\$1\$": "MD5 is too weak",
    r"\{S?SHA\}": "SHA-1 is too weak",
    r"\{PLAIN\}": "a plain password",
    r"\$[56]\$": "the hash is not whole",
}


def users_of(text: str) -> list[str]:
    """The lines that count. Raises ValueError with every mistake, each on a line of its own that
    begins with the number of the wrong line; no message shows a hash."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    given = [(number, line) for number, line in lines if line and not line.startswith("#")]
    wrong = list(_mistakes(given))
    if not given:
        wrong = [f"1: there is no user: expected lines NAME:HASH; {MAKE_ONE}"]
    if wrong:
        raise ValueError("\n".join(wrong))
    return [line for _number, line in given]


def _mistakes(given: list[tuple[int, str]]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for number, line in given:
        name, colon, hashed = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            yield f"{number}: expected NAME:HASH; {MAKE_ONE}"
        elif problem := _problem(hashed):
            yield f"{number}: {problem}; {MAKE_ONE}"
        if colon and name in seen:
            yield f"{number}: the user of line {seen[name]} again"
        seen.setdefault(name, number)


def _problem(hashed: str) -> str:
    found = _HASH.fullmatch(hashed)
    if found is None:
        kinds = (what for pattern, what in _KINDS.items() if re.match(pattern, hashed))
        return next(kinds, "a plain password, or an unknown kind of hash")
    rounds = int(found.group(1) or found.group(2) or 0)
    if rounds > MAX_ROUNDS:
        return f"{rounds} rounds take the web server too long, at most {MAX_ROUNDS} are allowed"
    return ""
