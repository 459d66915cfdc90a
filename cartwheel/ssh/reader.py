"""Reads ssh_config(5) without ssh: for machines without an OpenSSH client, and for a home folder
that ssh does not use. It refuses unknown syntax with file and line.

This replaces paramiko's reader, which treats unknown criteria as true, and supports neither
Include nor comments after values nor places.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel import process_env, programs
from cartwheel.errors import UsageError
from cartwheel.ssh.found import Account, Asked, Value, expand, fits, refused, tokens_of

SYSTEM_FOLDER = Path("/etc/ssh")
# ssh itself gives up at this depth (readconf.c, READCONF_MAX_DEPTH).
_DEEPEST_INCLUDE = 16
_EXEC_SECONDS = 30.0
_LINE = re.compile(r"([^\s=\"]+)(?:\s*=\s*|\s+|$)(.*)")
_WORD = re.compile(r'"((?:\\.|[^"\\])*)"|\'((?:\\.|[^\'\\])*)\'|((?:\\.|[^\s"\'\\])+)')
_REST_OF_LINE = ("proxycommand", "localcommand", "remotecommand")
_SEVERAL = ("userknownhostsfile", "globalknownhostsfile")
_EVERY = ("identityfile", "certificatefile")
_UNSAFE = re.compile(r"^-|[\s'\"`$;&<>|(){}]")
_ALONE = ("all", "canonical", "final")


@dataclass(frozen=True)
class _Statement:
    keyword: str
    words: tuple[str, ...]
    place: str


@dataclass
class _State:
    """One host's configuration while it is read: the first value of a keyword counts."""

    asked: Asked
    account: Account
    values: dict[str, list[Value]] = field(default_factory=dict)
    is_final: bool = False
    wants_final: bool = False

    @property
    def host(self) -> str:
        """HostName if it is already known, or the name."""
        value = self.values.get("hostname", [Value(self.asked.name, "")])[0]
        return expand(value, {"h": self.asked.name})

    def text(self, key: str) -> str:
        return self.values[key][0].text if key in self.values else ""

    def take(self, said: _Statement) -> None:
        key = said.keyword
        if key in _EVERY:
            kept = self.values.setdefault(key, [])
            kept += [Value(w, said.place) for w in said.words if w not in [v.text for v in kept]]
        elif key not in self.values and not self._is_ruled_out(key):
            words = said.words if key in _SEVERAL else said.words[:1]
            self.values[key] = [Value(word, said.place) for word in words]

    def _is_ruled_out(self, key: str) -> bool:
        """Of ProxyJump and ProxyCommand the first one wins; `ProxyJump none` rules out neither."""
        if key == "proxyjump":
            return "proxycommand" in self.values
        return key == "proxycommand" and self.text("proxyjump").lower() not in ("", "none")


class Reader:
    """Reads `files` in order, each once."""

    def __init__(self, files: Sequence[Path], account: Account) -> None:
        self._files = files
        self._account = account
        self._read: dict[Path, list[_Statement]] = {}

    def values(self, asked: Asked) -> dict[str, list[Value]]:
        """The values configured for a host. Raises UsageError `ssh-config` with file and line."""
        state = _State(asked, self._account)
        given = [value for key, value in asked.given if key in ("user", "hostname")]
        for name in (asked.name, *given):
            # Names get into shell commands by tokens; ssh refuses the same characters.
            if _UNSAFE.search(name):
                raise UsageError(
                    "usage", f"'{name}' contains characters that are not allowed in a name"
                )
        for key, value in asked.given:
            state.take(_statement(key, value, f"-o {key}={value}"))
        self._pass(state, asked.name)
        host = state.host.lower()
        state.values["hostname"] = [Value(host.replace("%", "%%"), "")]
        if state.text("canonicalizehostname").lower() in ("yes", "always"):
            place = state.values["canonicalizehostname"][0].place
            raise refused(place, "CanonicalizeHostname needs the OpenSSH client")
        if state.wants_final:
            state.is_final = True
            self._pass(state, host)
        state.values["hostname"] = [Value(host, "")]
        for user in state.values.get("user", ()):
            if set(user.text) & set("%$"):
                raise refused(user.place, f"{user.text} in User is not supported")
        return state.values

    def names(self) -> set[str]:
        """All names and patterns after Host."""
        return {
            word
            for file in self._files
            for said in self._everything(file, 0)
            if said.keyword == "host"
            for word in said.words
        }

    def _everything(self, file: Path, depth: int) -> Iterator[_Statement]:
        for said in self._statements(file, depth):
            yield said
            if said.keyword == "include":
                for each in self._included(said, file):
                    yield from self._everything(each, depth + 1)

    def _pass(self, state: _State, host: str) -> None:
        for file in self._files:
            self._apply(file, state, host, is_active=True, never=False, depth=0)

    def _apply(
        self, file: Path, state: _State, host: str, *, is_active: bool, never: bool, depth: int
    ) -> None:
        """`never`: a block that does not match includes the file, so none of its blocks match."""
        for said in self._statements(file, depth):
            if said.keyword == "host":
                is_active = not never and fits(host, said.words)
            elif said.keyword == "match":
                is_active = not never and self._matches(said, state, host)
            elif said.keyword == "include":
                for each in self._included(said, file):
                    self._apply(
                        each,
                        state,
                        host,
                        is_active=is_active,
                        never=never or not is_active,
                        depth=depth + 1,
                    )
            elif is_active:
                state.take(said)

    def _matches(self, said: _Statement, state: _State, host: str) -> bool:
        result = True
        for criterion, argument in _criteria(said):
            name = criterion.lstrip("!").lower()
            if name == "final":
                state.wants_final = True
            if result and self._holds(name, argument, said, state, host) == criterion.startswith(
                "!"
            ):
                result = False
        return result

    def _holds(self, name: str, argument: str, said: _Statement, state: _State, host: str) -> bool:
        if name in _ALONE:
            return name == "all" or state.is_final
        if name == "exec":
            tokens = tokens_of(state.text, state.host, state.asked, self._account)
            return _succeeds(expand(Value(argument, said.place), tokens), said.place)
        subjects = {
            "host": state.host if "hostname" in state.values else host,
            "originalhost": state.asked.name,
            "user": state.text("user") or self._account.user,
            "localuser": self._account.user,
        }
        if name not in subjects:
            raise refused(said.place, f"`Match {name}` needs the OpenSSH client (`ssh`)")
        if name in ("host", "originalhost"):
            return fits(subjects[name].lower(), argument.lower().split(","))
        return fits(subjects[name], argument.split(","))

    def _statements(self, file: Path, depth: int) -> list[_Statement]:
        if depth > _DEEPEST_INCLUDE:
            raise UsageError("ssh-config", f"{file}: too many levels of Include")
        if file not in self._read:
            try:
                lines = file.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise UsageError("ssh-config", f"{file} cannot be read: {reason}") from error
            self._read[file] = list(_parsed(lines, file))
        return self._read[file]

    def _included(self, said: _Statement, file: Path) -> list[Path]:
        """Relative names are relative to ~/.ssh, or to /etc/ssh for the system's file."""
        is_system = file.is_relative_to(SYSTEM_FOLDER)
        base = SYSTEM_FOLDER if is_system else self._account.home / ".ssh"
        found: list[Path] = []
        for word in said.words:
            name = re.sub(r"^~(?=/|$)", str(self._account.home), word)
            # Path.glob does not accept absolute patterns.
            names = sorted(glob.glob(str(base / Path(name).expanduser())))  # noqa: PTH207 - above
            found += [Path(each) for each in names if Path(each).is_file()]
        return found


def _parsed(lines: Sequence[str], file: Path) -> Iterator[_Statement]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        found = _LINE.match(text)
        if not text or text.startswith("#"):
            continue
        place = f"{file}:{number}"
        if not found or not found[2]:
            raise refused(place, f"`{text}` has no value")
        yield _statement(found[1], found[2], place)


def _statement(keyword: str, rest: str, place: str) -> _Statement:
    keyword = keyword.lower()
    if keyword in _REST_OF_LINE:
        return _Statement(keyword, (rest,), place)
    return _Statement(keyword, tuple(_words(rest, place)), place)


def _words(text: str, place: str) -> Iterator[str]:
    """Split a line as ssh does: quotes, backslashes, and a comment where a word could begin."""
    while (text := text.lstrip()) and not text.startswith("#"):
        word = ""
        while text and not text[0].isspace():
            part = _WORD.match(text)
            if part is None:
                raise refused(place, f"a quote is not closed: {text}")
            quoted = part[1] if part[1] is not None else part[2]
            word += re.sub(r"\\([\"'\\ ])", r"\1", part[3] if quoted is None else quoted)
            text = text[part.end() :]
        yield word


def _criteria(said: _Statement) -> Iterator[tuple[str, str]]:
    words = list(said.words)
    while words:
        name, equals, argument = words.pop(0).partition("=")
        plain = name.lstrip("!").lower()
        if plain not in _ALONE and not equals:
            if not words:
                raise refused(said.place, f"`Match {name}` has no value")
            argument = words.pop(0)
        yield name, argument


def _succeeds(command: str, place: str) -> bool:
    """`Match exec`: run by the user's shell, as ssh does."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    try:
        ended = programs.run(
            [shell, "-c", command],
            env=process_env.of_user(),
            cwd=Path.cwd(),
            deadline_seconds=_EXEC_SECONDS,
        )
    except programs.LateError as error:
        raise refused(place, f"`{command}` did not end within {_EXEC_SECONDS:g} s") from error
    except OSError as error:
        raise refused(place, f"{shell} cannot be run: {error.strerror}") from error
    return ended.status == 0
