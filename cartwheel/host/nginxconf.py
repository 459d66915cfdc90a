"""Read nginx's configuration without running nginx: which servers there are.

A small reader of nginx's configuration grammar (words, quotes, comments, blocks,
`include` with wildcards; https://nginx.org/en/docs/beginners_guide.html#conf_structure).
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Tuple

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<double>"(?:\\.|[^"\\])*")|(?P<single>'(?:\\.|[^'\\])*')"""
    r"""|(?P<mark>[{};])|(?P<word>(?:\$\{[^}]*\}|\\.|[^\s{};"'\\])+)""",
    re.DOTALL,
)
_MAX_DEPTH = 16


@dataclass(frozen=True)
class Server:
    """One `server` block of the http part."""

    file: str
    listens: Tuple[str, ...]
    names: Tuple[str, ...]

    @property
    def ports(self) -> Tuple[int, ...]:
        return tuple(_port(listen) for listen in self.listens) or (80,)

    @property
    def is_default(self) -> bool:
        return any("default_server" in listen.split() for listen in self.listens)


def _port(listen: str) -> int:
    address = listen.split(maxsplit=1)[0]
    tail = address.rsplit(":", 1)[-1] if ":" in address and not address.endswith("]") else address
    return int(tail) if tail.isdigit() else 80


@dataclass(frozen=True)
class _Directive:
    file: str
    words: Tuple[str, ...]
    depth: int
    opens: bool


def servers(main: Path = Path("/etc/nginx/nginx.conf")) -> List[Server]:
    """Every http server that nginx would load; empty where there is no nginx."""
    found: List[Server] = []
    listens: List[str] = []
    names: List[str] = []
    inside = -1
    file = ""
    for directive in [*_directives(main, main.parent, 0), _Directive("", (), 0, False)]:
        if inside >= 0 and directive.depth <= inside:
            found.append(Server(file, tuple(listens), tuple(names)))
            inside = -1
        if directive.words[:1] == ("server",) and directive.opens:
            inside, file, listens, names = directive.depth, directive.file, [], []
        elif inside >= 0 and directive.depth == inside + 1:
            if directive.words[:1] == ("listen",):
                listens.append(" ".join(directive.words[1:]))
            elif directive.words[:1] == ("server_name",):
                names.extend(directive.words[1:])
    return found


def user(main: Path = Path("/etc/nginx/nginx.conf")) -> str:
    """The user of nginx's workers: the `user` directive, else what Debian builds in."""
    for directive in _directives(main, main.parent, 0):
        if directive.words[:1] == ("user",) and len(directive.words) > 1:
            return directive.words[1]
    return "www-data"


def _directives(path: Path, root: Path, level: int, depth: int = 0) -> Iterator[_Directive]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    words: List[str] = []
    for token in _tokens(text):
        if token == ";":
            if words[:1] == ["include"] and len(words) > 1 and level < _MAX_DEPTH:
                pattern = os.path.join(str(root), words[1])
                for name in sorted(glob.glob(pattern)):
                    yield from _directives(Path(name), root, level + 1, depth)
            elif words:
                yield _Directive(str(path), tuple(words), depth, False)
            words = []
        elif token == "{":
            yield _Directive(str(path), tuple(words), depth, True)
            words, depth = [], depth + 1
        elif token == "}":
            words, depth = [], depth - 1
            yield _Directive(str(path), ("}",), depth, False)
        else:
            words.append(token)


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        quoted = match.group("double") or match.group("single")
        if quoted:
            yield quoted[1:-1]
        elif match.group("mark") or match.group("word"):
            yield match.group("mark") or match.group("word")
