"""Read nginx's configuration without running nginx: which servers there are.

A small reader of nginx's configuration grammar (words, quotes, comments, blocks,
`include` with wildcards; https://nginx.org/en/docs/beginners_guide.html#conf_structure).
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

from cartwheel.host.system import files
from cartwheel.host.wire.facts import Server

# Quotes and marks count only where a word begins; `${` does not open a block.
TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<double>"(?:\\.|[^"\\])*")|(?P<single>'(?:\\.|[^'\\])*')"""
    r"""|(?P<mark>[{};])|(?P<word>(?:\\.|\$\{|[^\s{};"'\\])(?:\\.|\$\{|[^\s{;\\])*)""",
    re.DOTALL,
)
# Lua inside `..._by_lua_block { }` (lua-nginx-module) has strings and comments of its own.
_LUA = re.compile(
    r"""--\[\[.*?\]\]|--[^\n]*|\[\[.*?\]\]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
    r"""|(?P<brace>[{}])|[^-\["'{}]+|.""",
    re.DOTALL,
)
MAIN = Path("/etc/nginx/nginx.conf")
# A mark is not the same character in quotes.
_WORD, _MARK = "word", "mark"


def _ports(address: str) -> Tuple[int, ...]:
    """None for a unix socket, several for a range."""
    if address.startswith("unix:"):
        return ()
    tail = address.rsplit(":", 1)[-1] if ":" in address and not address.endswith("]") else address
    first, _, last = tail.partition("-")
    if first.isdigit() and last.isdigit():
        return tuple(range(int(first), int(last) + 1))
    return (int(tail),) if tail.isdigit() else (80,)


@dataclass(frozen=True)
class _Directive:
    """`inside` names the blocks around it, the outermost first."""

    file: str
    words: Tuple[str, ...]
    inside: Tuple[str, ...]
    opens: bool


class _Block(NamedTuple):
    """One `server` block of the http part."""

    file: str
    listens: List[Tuple[str, ...]]
    names: List[str]


def servers(main: Path = MAIN) -> List[Server]:
    """Every http server that nginx would load; empty where there is no nginx."""
    found: List[_Block] = []
    for directive in directives(main, main.parent):
        name, arguments = directive.words[0], directive.words[1:]
        if name == "server" and directive.opens and directive.inside == ("http",):
            found.append(_Block(directive.file, [], []))
        elif directive.inside == ("http", "server") and name == "listen":
            found[-1].listens.append(arguments or ("80",))
        elif directive.inside == ("http", "server") and name == "server_name":
            # nginx compares them without regard to case, expressions aside.
            found[-1].names.extend(one if one.startswith("~") else one.lower() for one in arguments)
    return [_server(block) for block in found]


def _server(block: _Block) -> Server:
    """Its ports in order, by default 80; `default` is nginx's old word for `default_server`."""
    listens = block.listens or [("80",)]
    ports = {words: _ports(words[0]) for words in listens}
    defaults = [words for words in listens if {"default_server", "default"} & set(words[1:])]
    return Server(
        block.file,
        tuple(port for words in listens for port in ports[words]),
        tuple(block.names),
        tuple(port for words in defaults for port in ports[words]),
    )


def user(main: Path = MAIN) -> str:
    """The user of nginx's workers: the `user` directive, else what Debian builds in."""
    for directive in directives(main, main.parent):
        if directive.words[0] == "user" and len(directive.words) > 1 and not directive.inside:
            return directive.words[1]
    return "www-data"


def loads(module: str, main: Path = MAIN) -> bool:
    """Whether it loads a module of this name (`load_module` in the main part)."""
    return any(
        directive.words[0] == "load_module" and module in " ".join(directive.words[1:])
        for directive in directives(main, main.parent)
        if not directive.inside
    )


def includes(site: Path, main: Path = MAIN) -> bool:
    """Whether nginx reads a site's file of this path, once it exists. True where `main` is missing:
    then nginx was built with another path."""
    patterns = [
        os.path.join(str(main.parent), directive.words[1])
        for directive in directives(main, main.parent)
        if directive.words[0] == "include" and directive.inside == ("http",)
    ]
    return not main.is_file() or any(fnmatch(str(site), pattern) for pattern in patterns)


def directives(
    path: Path, root: Path, inside: Tuple[str, ...] = (), opened: Tuple[Path, ...] = ()
) -> Iterator[_Directive]:
    """Those of a file and of what it includes, `include` too. A file that includes itself is read
    once."""
    if files.is_no_file(path):
        return
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    words: List[str] = []
    for kind, token in _tokens(text):
        if kind == _WORD:
            words.append(token)
            continue
        if token != "}" and words:
            yield _Directive(str(path), tuple(words), inside, token == "{")
        if token == ";" and words[:1] == ["include"] and len(words) > 1:
            for name in sorted(glob.glob(os.path.join(str(root), words[1]))):
                if Path(name) not in (path, *opened):
                    yield from directives(Path(name), root, inside, (*opened, path))
        if token == "{":
            inside = (*inside, words[0] if words else "")
        elif token == "}":
            inside = inside[:-1]
        words = []


def _tokens(text: str) -> Iterator[Tuple[str, str]]:
    """(kind, text) of every word and mark; quotes are taken off."""
    at, last = 0, ""
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:  # a quote or backslash that nothing ends
            at += 1
            continue
        at = match.end()
        quoted = match.group("double") or match.group("single")
        if quoted:
            yield _WORD, quoted[1:-1]
        elif match.group("mark"):
            yield _MARK, match.group("mark")
            if match.group("mark") == "{" and last.endswith("_by_lua_block"):
                at = _end_of_lua(text, at)
        elif match.group("word"):
            yield _WORD, match.group("word")
            last = match.group("word")


def _end_of_lua(text: str, at: int) -> int:
    """Where the brace is that closes the block which begins at `at`."""
    depth = 1
    for match in _LUA.finditer(text, at):
        if match.group("brace"):
            depth += 1 if match.group("brace") == "{" else -1
            if depth == 0:
                return match.start()
    return len(text)
