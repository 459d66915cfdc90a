"""Turns the values of ssh_config(5) for one host into what a connection needs; reads no files.

The readers (`client.py` asks ssh itself, `reader.py` reads the files) pass the values on as they
are written; tokens, `~` and variables are expanded here.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from cartwheel.errors import UsageError

Family = Literal["any", "inet", "inet6"]

DEFAULT_PORT = 22
LAST_PORT = 65535
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}  # sshd_config(5)
_OF_PROXIES = "hnpr"  # ssh_config(5), TOKENS; all others are for files and Match exec


@dataclass(frozen=True)
class Asked:
    """A host as it was typed, and the options that override ssh_config for it: keywords in lower
    case with values as in ssh_config. The first value of a keyword counts."""

    name: str
    given: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Value:
    """One value, and its place."""

    text: str
    place: str


Values = Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class Account:
    """The local user, and the home folder for `~`."""

    user: str
    home: Path


@dataclass(frozen=True)
class Found:
    """Everything of ssh_config that Cartwheel honours, for one host.

    `jump` is ProxyJump as written; `proxy_command` is ready for a shell. `agent` is a socket,
    `none`, or empty for the default one. Empty `identities` with `has_identities` means that none
    may be tried.
    """

    host: str
    port: int
    user: str
    identities: tuple[Path, ...] = ()
    has_identities: bool = False
    identities_only: bool = False
    agent: str = ""
    jump: str | None = None
    proxy_command: str | None = None
    key_name: str = ""
    known_hosts: tuple[Path, ...] = ()
    revoked_keys: Path | None = None
    connect_timeout_seconds: float | None = None
    family: Family = "any"
    bind_address: str = ""


def found_in(values: Values, asked: Asked, account: Account) -> Found:
    """The meaning of the values. Raises UsageError `ssh-config` if one cannot be honoured."""
    one = _First(values)
    if one.text("proxyusefdpass").lower() == "yes":
        raise refused(one.place("proxyusefdpass"), "ProxyUseFdpass cannot be honoured")
    host = one.text("hostname") or asked.name
    port = _port(one.value("port"))
    words = tokens_of(one.text, host, asked, account)

    def proxy(key: str) -> str | None:
        value = one.value(key)
        if value is None or value.text.lower() == "none":
            return None
        return expand(value, {letter: words[letter] for letter in _OF_PROXIES})

    def path(value: Value) -> Path:
        return _path(value, words, account)

    named = values.get("identityfile", ())
    files = [*values.get("userknownhostsfile", ()), *values.get("globalknownhostsfile", ())]
    # New keys go to the first file, which is never the system's.
    is_shared = bool(files) and "userknownhostsfile" not in values
    first = (Path("~/.ssh/known_hosts").expanduser(),) if is_shared else ()
    revoked = _without_none(values.get("revokedhostkeys", ()))
    timeout = one.value("connecttimeout")
    return Found(
        host=host,
        port=port,
        user=one.text("user") or account.user,
        identities=tuple(dict.fromkeys(path(each) for each in _without_none(named))),
        has_identities=bool(named),
        identities_only=one.text("identitiesonly").lower() == "yes",
        agent=_agent(one.value("identityagent"), path),
        jump=proxy("proxyjump"),
        proxy_command=proxy("proxycommand"),
        key_name=one.text("hostkeyalias"),
        known_hosts=(*first, *(path(each) for each in _without_none(files))),
        revoked_keys=path(revoked[0]) if revoked else None,
        connect_timeout_seconds=None if timeout is None else _seconds(timeout),
        family=_family(one.value("addressfamily")),
        bind_address=one.text("bindaddress"),
    )


def tokens_of(
    text: Callable[[str], str], host: str, asked: Asked, account: Account
) -> dict[str, str]:
    """The value of each token, from the `text` of keywords and the name to connect to."""
    return {
        "d": str(account.home),
        "h": host,
        "i": str(os.getuid()),
        "j": text("proxyjump"),
        "k": text("hostkeyalias") or asked.name,
        "L": socket.gethostname().split(".")[0],
        "l": socket.gethostname(),
        "n": asked.name,
        "p": text("port") or str(DEFAULT_PORT),
        "r": text("user") or account.user,
        "u": account.user,
    }


def expand(value: Value, tokens: Mapping[str, str]) -> str:
    """The text with its `%` tokens expanded. Raises UsageError for an unknown token."""

    def word(token: re.Match[str]) -> str:
        if token[1] == "%":
            return "%"
        if token[1] not in tokens:
            raise refused(value.place, f"%{token[1]} in `{value.text}` is not supported")
        return tokens[token[1]]

    return re.sub(r"%(.?)", word, value.text)


def fits(name: str, patterns: Sequence[str]) -> bool:
    """ssh_config(5), PATTERNS: `*` and `?`; a matching pattern with `!` rules the rest out."""

    def matches(pattern: str) -> bool:  # [...] is literal here, but a pattern in fnmatch
        return fnmatchcase(name, pattern.replace("[", "[[]"))

    if any(matches(one[1:]) for one in patterns if one.startswith("!")):
        return False
    return any(matches(one) for one in patterns if not one.startswith("!"))


def refused(place: str, reason: str) -> UsageError:
    """The error for a value that Cartwheel cannot honour exactly as ssh does."""
    return UsageError("ssh-config", f"{place}: {reason}")


class _First:
    def __init__(self, values: Values) -> None:
        self._values = values

    def value(self, key: str) -> Value | None:
        return next(iter(self._values.get(key, ())), None)

    def text(self, key: str) -> str:
        value = self.value(key)
        return value.text if value else ""

    def place(self, key: str) -> str:
        value = self.value(key)
        return value.place if value else ""


def _without_none(values: Sequence[Value]) -> list[Value]:
    return [value for value in values if value.text.lower() != "none"]


def _path(value: Value, tokens: Mapping[str, str], account: Account) -> Path:
    def variable(name: re.Match[str]) -> str:
        if name[1] not in os.environ:
            raise refused(value.place, f"there is no environment variable {name[1]}")
        return os.environ[name[1]]

    text = re.sub(r"\$\{([^}]*)\}", variable, value.text)
    if text == "~" or text.startswith("~/"):
        text = f"{account.home}{text[1:]}"
    return Path(expand(Value(text, value.place), tokens)).expanduser()


def _agent(value: Value | None, path: Callable[[Value], Path]) -> str:
    if value is None or value.text == "SSH_AUTH_SOCK":
        return ""
    if value.text.lower() == "none":
        return "none"
    if re.fullmatch(r"\$\w+", value.text):
        return os.environ.get(value.text[1:], "none")
    return str(path(value))


def _port(value: Value | None) -> int:
    if value is None:
        return DEFAULT_PORT
    if not value.text.isdigit() or not 0 < int(value.text) <= LAST_PORT:
        raise refused(value.place, f"{value.text} is not a port")
    return int(value.text)


def _seconds(value: Value) -> float | None:
    if value.text.lower() == "none":
        return None
    parts = re.findall(r"(\d+)([smhdw]?)", value.text.lower())
    if "".join(number + unit for number, unit in parts) != value.text.lower() or not parts:
        raise refused(value.place, f"{value.text} is not a time")
    return float(sum(int(number) * _SECONDS[unit] for number, unit in parts)) or None


def _family(value: Value | None) -> Family:
    families: dict[str, Family] = {"any": "any", "inet": "inet", "inet6": "inet6"}
    if value is None:
        return "any"
    if value.text.lower() not in families:
        raise refused(value.place, f"{value.text} is not an address family")
    return families[value.text.lower()]
