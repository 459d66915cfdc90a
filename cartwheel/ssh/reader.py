"""Reads ssh_config(5) without ssh: for machines without an OpenSSH client, and for a home folder
that ssh does not use. It refuses what it does not know, with file and line.

This replaces paramiko's reader, which treats unknown criteria as true, and supports neither
Include nor comments after values nor places.
"""

from __future__ import annotations

import glob
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel import process_env, programs
from cartwheel.errors import UsageError
from cartwheel.ssh.address import unsafe_name
from cartwheel.ssh.checked import check
from cartwheel.ssh.found import (
    FILE_LISTS,
    REPEATED,
    Account,
    Asked,
    Value,
    at_home,
    expand,
    family_of,
    fits,
    lowered,
    port_of,
    refused,
    tokens_of,
)
from cartwheel.ssh.syntax import Statement, statement, statements, words_of

# ssh itself gives up at this depth (readconf.c, READCONF_MAX_DEPTH).
_DEEPEST_INCLUDE = 16
_EXEC_SECONDS = 30.0
_SYSTEM_FOLDER = Path("/etc/ssh")
_ALIASES = {"identityfile2": "identityfile"}
_ALONE = ("all", "canonical", "final")
_KNOWN = ("exec", "host", "localuser", "originalhost", "tagged", "user")
_NEEDS_CLIENT = ("command", "localnetwork", "sessiontype", "version")
_WRITABLE_BY_OTHERS = 0o022


@dataclass(frozen=True)
class Source:
    """A file of ssh_config: a user's, or the system's; ssh checks the owner of the user's own."""

    path: Path
    is_system: bool = False
    is_checked: bool = False


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
        if "hostname" not in self.values:
            return self.asked.name
        return expand(self.values["hostname"][0], {"h": self.asked.name})

    def text(self, key: str) -> str:
        return self.values[key][0].text if key in self.values else ""

    def take(self, said: Statement) -> None:
        key = _ALIASES.get(said.keyword, said.keyword)
        given = [Value(word, said.place) for word in said.words]
        if key == "port":
            given = [Value(str(port_of(given[0])), said.place)]
        if key == "proxyjump":
            given = [Value(said.words[0].partition("#")[0].rstrip(), said.place)]
        if key in REPEATED:
            kept = self.values.setdefault(key, [])
            kept += [each for each in given if each.text not in [value.text for value in kept]]
        elif given and key not in self.values and not self._is_ruled_out(key):
            self.values[key] = given if key in FILE_LISTS else given[:1]

    def _is_ruled_out(self, key: str) -> bool:
        """Of ProxyJump and ProxyCommand the first one wins; `ProxyJump none` rules out neither."""
        if key == "proxyjump":
            return "proxycommand" in self.values
        return key == "proxycommand" and self.text("proxyjump").lower() not in ("", "none")


class Reader:
    """Reads `sources` in order, each once."""

    def __init__(self, sources: Sequence[Source], account: Account) -> None:
        self._sources = sources
        self._account = account
        self._read: dict[Path, list[Statement]] = {}

    def values(self, asked: Asked) -> dict[str, list[Value]]:
        """The values configured for a host. Raises UsageError `ssh-config` with file and line."""
        state = _State(asked, self._account)
        _check_names(asked)
        for key, value in asked.given:
            said = statement(key, value, f"-o {key}={value}")
            check(said)
            state.take(said)
        self._pass(state, asked.name)
        host = _canonical(state)
        state.values["hostname"] = [Value(host.replace("%", "%%"), "")]
        if state.text("canonicalizehostname").lower() not in ("", "no", "false"):
            place = state.values["canonicalizehostname"][0].place
            raise refused(place, "CanonicalizeHostname needs the OpenSSH client")
        if state.wants_final:
            state.is_final = True
            self._pass(state, host)
        state.values["hostname"] = [Value(host, "")]
        for alias in state.values.get("hostkeyalias", ()):
            state.values["hostkeyalias"] = [Value(lowered(alias.text), alias.place)]
        is_typed = "user" in dict(asked.given)
        for user in () if is_typed else state.values.get("user", ()):
            if re.search(r"%|\$\{", user.text):
                raise refused(user.place, f"{user.text} in User needs the OpenSSH client")
        return state.values

    def names(self) -> set[str]:
        """All names and patterns after Host."""
        return {
            word
            for source in self._sources
            for said in self._everything(source, 0)
            if said.keyword == "host"
            for word in said.words
        }

    def _everything(self, source: Source, depth: int) -> Iterator[Statement]:
        for said in self._statements(source, depth):
            yield said
            if said.keyword == "include" and not _has_tokens(said):
                for each in self._included(said, source):
                    yield from self._everything(each, depth + 1)

    def _pass(self, state: _State, host: str) -> None:
        for source in self._sources:
            self._apply(source, state, host, is_active=True, never=False, depth=0)

    def _apply(
        self, source: Source, state: _State, host: str, *, is_active: bool, never: bool, depth: int
    ) -> None:
        """`never`: a block that does not match includes the file, so none of its blocks match."""
        for said in self._statements(source, depth):
            check(said, ignored=state.text("ignoreunknown"))
            if said.keyword == "host":
                is_active = not never and fits(host, said.words)
            elif said.keyword == "match":
                is_active = self._matches(said, state, host, never=never)
            elif said.keyword == "include":
                for each in self._included(said, source):
                    self._apply(
                        each,
                        state,
                        host,
                        is_active=is_active,
                        never=never or not is_active,
                        depth=depth + 1,
                    )
            elif is_active and said.keyword == "refuseconnection":
                raise refused(said.place, f"RefuseConnection: {said.words[0]}")
            elif is_active:
                state.take(said)

    def _matches(self, said: Statement, state: _State, host: str, *, never: bool) -> bool:
        result = not never
        for criterion, argument in _criteria(said):
            name = criterion.removeprefix("!").lower()
            if name == "final":
                state.wants_final = True
            if result and self._holds(name, argument, said, state, host) == criterion.startswith(
                "!"
            ):
                result = False
        return result

    def _holds(self, name: str, argument: str, said: Statement, state: _State, host: str) -> bool:
        if name in _NEEDS_CLIENT:
            raise refused(said.place, f"`Match {name}` needs the OpenSSH client (`ssh`)")
        if name in _ALONE:
            return name == "all" or state.is_final
        if name == "exec":
            tokens = tokens_of(state.text, state.host, state.asked, self._account)
            tokens["k"] = state.text("hostkeyalias") or state.host
            return _succeeds(expand(Value(argument, said.place), tokens), said.place)
        if name == "tagged":
            tag = state.text("tag")
            return fits(tag, argument.split(",")) if tag else not argument
        subjects = {
            "host": state.host if "hostname" in state.values else host,
            "originalhost": state.asked.name,
            "user": state.text("user") or self._account.user,
            "localuser": self._account.user,
        }
        if name in ("host", "originalhost"):
            return fits(lowered(subjects[name]), lowered(argument).split(","))
        return fits(subjects[name], argument.split(","))

    def _statements(self, source: Source, depth: int) -> list[Statement]:
        if depth > _DEEPEST_INCLUDE:
            raise UsageError("ssh-config", f"{source.path}: too many levels of Include")
        if source.path not in self._read:
            text = _text(source)
            self._read[source.path] = list(statements(text, source.path))
        return self._read[source.path]

    def _included(self, said: Statement, source: Source) -> list[Source]:
        """Relative names are relative to ~/.ssh, or to /etc/ssh for the system's file."""
        if _has_tokens(said):
            raise refused(said.place, "tokens in Include need the OpenSSH client")
        if source.is_system and any(word.startswith("~") for word in said.words):
            raise refused(said.place, "the system's file cannot include files of a home folder")
        base = _SYSTEM_FOLDER if source.is_system else self._account.home / ".ssh"
        found: list[str] = []
        for word in said.words:
            name = at_home(Value(word, said.place), self._account)
            found += sorted(glob.glob(str(base / name)))  # noqa: PTH207 - not for absolute patterns
        return [
            Source(Path(file), source.is_system, is_checked=True)
            for file in found
            if os.path.isfile(file)  # noqa: PTH113 - Path.is_file raises errors
        ]


def _check_names(asked: Asked) -> None:
    given = [(key, next(words_of(value, ""), "")) for key, value in asked.given]
    users = [name for key, name in given if key == "user"]
    hosts = [asked.name, *(name for key, name in given if key == "hostname")]
    for unsafe in (*map(unsafe_name, hosts), *(unsafe_name("", user) for user in users)):
        if unsafe:
            raise UsageError(
                "usage", f"'{unsafe}' contains characters that are not allowed in a name"
            )


def _canonical(state: _State) -> str:
    """The name to connect to: an address in its usual form, or a name in lower case."""
    families = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
    given = state.values.get("addressfamily", [None])[0]
    name, family = state.host, families[family_of(given)]
    try:
        found = socket.getaddrinfo(
            os.fsencode(name), None, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST
        )
    except (OSError, ValueError):
        is_like_one = set(name) & set("%:") or not set(name) - set("0123456789.")
        return name if is_like_one else lowered(name)
    address = socket.getnameinfo(found[0][4], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return name if address.lower() == name.lower() else address


def _text(source: Source) -> str:
    """A file's text; other encodings than UTF-8 keep their bytes."""
    path = source.path
    try:
        status = path.stat()
        content = path.read_bytes()
    except OSError as error:
        raise UsageError("ssh-config", f"{path} cannot be read: {error.strerror}") from error
    is_others = status.st_uid not in (0, os.getuid()) or status.st_mode & _WRITABLE_BY_OTHERS
    if source.is_checked and is_others:
        raise UsageError(
            "ssh-config",
            f"{path}: bad owner or permissions; only you may be able to write it",
            hint=f"Run `chmod go-w {path}`.",
        )
    return os.fsdecode(content)


def _has_tokens(said: Statement) -> bool:
    return any(re.search(r"%|\$\{", word) for word in said.words)


def _criteria(said: Statement) -> Iterator[tuple[str, str]]:
    words = list(said.words)
    count = 0
    while words:
        name, equals, argument = words.pop(0).partition("=")
        plain = name.removeprefix("!").lower()
        if plain not in (*_ALONE, *_KNOWN, *_NEEDS_CLIENT) or (equals and plain in _ALONE):
            raise refused(said.place, f"`Match {name}` is not known")
        if plain == "all" and (words or count > 1):
            raise refused(said.place, "`Match all` cannot be combined with other criteria")
        if plain not in _ALONE and not equals:
            if not words:
                raise refused(said.place, f"`Match {name}` has no value")
            argument = words.pop(0)
        if plain not in _ALONE and (
            argument.startswith("=") or not (argument or plain == "tagged")
        ):
            raise refused(said.place, f"`Match {name}` needs a value; write `Match {name} VALUE`")
        count += 1
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
