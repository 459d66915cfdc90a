"""A command as words, as a shell would split it, for a program that starts without a shell.

systemd starts the program itself, so that it gets the stop signal. What only a shell can do is
refused, never dropped (POSIX.1-2017, XCU 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ONE = r"\$(?P<name>[A-Za-z_]\w*)|\$\{(?P<braced>[A-Za-z_]\w*)\}|(?P<other>[\s\S])"
# Inside of double quotes, and outside of quotes.
_INSIDE = re.compile(rf'\\(?P<escaped>[$`"\\\n])|{_ONE}', re.ASCII)
_QUOTED = r"""(?:'(?P<single>[^']*)|"(?P<double>(?:\\[\s\S]|[^"\\])*))(?P<end>['"]?)"""
_REFUSED = r"(?P<operator>&&|\|\||[|&;<>()\n])|(?P<pattern>[*?[])"
_TOKEN = re.compile(
    rf"(?P<blank>[ \t]+)|{_QUOTED}|{_REFUSED}|\\(?P<escaped>[\s\S]?)|{_ONE}", re.ASCII
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_CONTROL = re.compile(r"[\x01-\x1f\x7f]")
_BY_SHELL = "needs a shell: write `sh -c '...'`, with `exec` before the program that goes on"
# The shell's own commands, of which no program exists (XCU 2.4, 2.14).
_OF_SHELL = re.compile(
    r"[!{}.:]|case|do|done|elif|else|esac|fi|for|if|in|then|until|while|alias|bg|break|cd|command"
    r"|continue|eval|exit|export|fc|fg|getopts|hash|jobs|local|read|readonly|return|set|shift"
    r"|source|times|trap|type|ulimit|umask|unalias|unset|wait"
)


@dataclass(frozen=True)
class Variable:
    """`$NAME`, a variable of the process's environment."""

    name: str


@dataclass(frozen=True)
class Word:
    """A word: text and variables, joined. `splits`: it is one variable without quotes, so its value
    may be several words."""

    parts: tuple[str | Variable, ...]
    splits: bool = False

    @property
    def literal(self) -> str | None:
        """The text; None if it has a variable."""
        texts = [part for part in self.parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(self.parts) else None


def parse(command: str) -> tuple[Word, ...]:
    """The words of a command, the program first. Raises ValueError with reason and remedy."""
    words = list(_words(command.strip(" \t\n")))
    if words and words[0].literal == "exec":
        del words[0]  # systemd starts the program as `exec` does
    if not words:
        raise ValueError("is empty")
    _refuse_as_program(words[0])
    return tuple(words)


def _refuse_as_program(word: Word) -> None:
    if not word.parts:
        raise ValueError("begins with an empty word: the first word is the program")
    first = word.parts[0] if isinstance(word.parts[0], str) else ""
    if found := _ASSIGNMENT.match(first):
        name = found.group().rstrip("=")
        raise ValueError(f"sets {name} before its program: set it in env, beside the command")
    if first.startswith("-"):
        raise ValueError(f"begins with {first}: the first word is the program")
    if any(isinstance(part, str) and "=" in part for part in word.parts):
        raise ValueError("has a `=` in the name of its program, which env(1) takes for a variable")
    if word.literal and _OF_SHELL.fullmatch(word.literal):
        raise ValueError(f"`{word.literal}` {_BY_SHELL}")


def _words(text: str) -> Iterator[Word]:
    if "\0" in text:
        raise ValueError("has a NUL character, which no argument can have")
    parts: list[str | Variable] | None = None  # of the word that has begun
    is_quoted = False
    for found in _TOKEN.finditer(text):
        if found["blank"] or (parts is None and found["escaped"] == "\n"):
            if parts is not None:
                yield _word(parts, is_quoted)
            parts, is_quoted = None, False
            continue
        if parts is None and found[0] in ("#", "~"):
            raise ValueError(f"`{found[0]}` {_BY_SHELL}, or quote it")
        is_quoted = is_quoted or found[0].startswith(("'", '"'))
        parts = [*(parts or ()), *_parts(found)]
    if parts is not None:
        yield _word(parts, is_quoted)


def _word(parts: list[str | Variable], is_quoted: bool) -> Word:
    only_variable = len(parts) == 1 and isinstance(parts[0], Variable)
    return Word(tuple(_joined(parts)), splits=only_variable and not is_quoted)


def _parts(found: re.Match[str]) -> Iterator[str | Variable]:
    """What a token means: a quoted text, or a variable or character without quotes."""
    if found["operator"]:
        shown = "a line break" if found["operator"] == "\n" else f"`{found['operator']}`"
        raise ValueError(f"{shown} {_BY_SHELL}")
    if found["pattern"]:
        raise ValueError(f"`{found['pattern']}` {_BY_SHELL}, or quote it")
    if found["escaped"] == "":
        raise ValueError("ends with `\\`")
    if found["single"] is not None:
        yield from found["single"]
    elif found["double"] is not None:
        inside = _INSIDE.finditer(found.string, *found.span("double"))
        yield from map(_one, inside)
    else:
        yield _one(found)
    if found["end"] == "":
        raise ValueError(f"has an open {found[0][0]}")


def _one(found: re.Match[str]) -> str | Variable:
    """A variable or a character."""
    if name := found["name"] or found["braced"]:
        return Variable(name)
    if found["escaped"]:
        return found["escaped"].strip("\n")
    if found["other"] == "`":
        raise ValueError(f"a backquote {_BY_SHELL}")
    shown = found.string[found.start() : found.start() + 2]
    if found["other"] == "$" and shown not in ("$", "$ "):
        raise ValueError(f"`{shown}` {_BY_SHELL}, or quote it with '")
    return found["other"]


def _joined(parts: list[str | Variable]) -> list[str | Variable]:
    """The parts, with neighbouring texts as one."""
    joined: list[str | Variable] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def for_systemd(words: tuple[Word, ...]) -> str:
    """The words in a unit's ExecStart (systemd.service(5), COMMAND LINES)."""
    return " ".join(map(_systemd_word, words))


def _systemd_word(word: Word) -> str:
    if word.splits and isinstance(word.parts[0], Variable):
        return f"${word.parts[0].name}"
    inside = "".join(
        f"${{{part.name}}}" if isinstance(part, Variable) else _escaped(part) for part in word.parts
    )
    return f'"{inside}"'


def _escaped(text: str) -> str:
    doubled = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", doubled)
