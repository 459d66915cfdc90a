"""Turns the values of ssh_config(5) for one host into what a connection needs; reads no files.

The readers (`client.py` asks ssh itself, `reader.py` reads the files) pass the values on as they
are written; tokens, `~` and variables are expanded here, where ssh has not done it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import socket
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from cartwheel.errors import UsageError
from cartwheel.ssh.address import LAST_PORT, as_jump, parse_address, unsafe_name

Family = Literal["any", "inet", "inet6"]

DEFAULT_PORT = 22
# Keywords that take several files, and keywords of which every line counts; of all others the first
# value counts.
FILE_LISTS = ("globalknownhostsfile", "revokedhostkeys", "userknownhostsfile")
REPEATED = ("certificatefile", "identityfile")
# The files that ssh uses if ssh_config names none.
USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}  # sshd_config(5)
_MOST_SECONDS = 86400  # a socket does not take every number of seconds
_OF_PROXIES = "hknpr"  # ssh_config(5), TOKENS; all others are for files and Match exec
_TOKEN = re.compile(r"%(.?)", re.DOTALL)
_TOKEN_OR_VARIABLE = re.compile(r"%(.?)|\$\{([^}]*)(\}?)", re.DOTALL)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True)
class Asked:
    """A host as it was typed, and the options that override ssh_config for it: keywords in lower
    case with values as in ssh_config. The first value of a keyword counts."""

    name: str
    given: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Value:
    """One value, and its place. An expanded one has no tokens and no variables."""

    text: str
    place: str
    is_expanded: bool = False


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
    may be tried. The known hosts are all files, with the defaults of ssh.
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
    system_known_hosts: tuple[Path, ...] = ()
    revoked_keys: tuple[Path, ...] = ()
    connect_timeout_seconds: float | None = None
    family: Family = "any"
    bind_address: str = ""


def found_in(values: Values, asked: Asked, account: Account) -> Found:
    """The meaning of the values. Raises UsageError `ssh-config` if one cannot be honoured."""
    one = _First(values)
    if one.flag("proxyusefdpass"):
        raise refused(one.place("proxyusefdpass"), "ProxyUseFdpass cannot be honoured")
    host = one.text("hostname") or asked.name
    words = tokens_of(one.text, host, asked, account)
    hashed = one.value("controlpath")
    if hashed is not None and hashed.is_expanded:  # the hash of %C differs between versions of ssh
        words["C"] = hashed.text

    expander = _Expander(words, account)
    named = values.get("identityfile", ())
    timeout = one.value("connecttimeout")
    # ssh expands no tokens in the names of the system's files.
    literal = [replace(each, is_expanded=True) for each in values.get("globalknownhostsfile", ())]
    return Found(
        host=host,
        port=port_of(one.value("port")),
        user=one.text("user") or account.user,
        identities=tuple(dict.fromkeys(expander.paths(named))),
        has_identities=bool(named),
        identities_only=one.flag("identitiesonly"),
        agent=expander.agent(one.value("identityagent")),
        jump=expander.jump(one.value("proxyjump")),
        proxy_command=expander.command(one.value("proxycommand")),
        key_name=lowered(one.text("hostkeyalias")),
        known_hosts=expander.paths(values.get("userknownhostsfile", ()), USER_FILES),
        system_known_hosts=expander.paths(literal, SYSTEM_FILES),
        revoked_keys=expander.paths(values.get("revokedhostkeys", ())),
        connect_timeout_seconds=None if timeout is None else seconds_of(timeout),
        family=family_of(one.value("addressfamily")),
        bind_address=one.text("bindaddress"),
    )


@dataclass(frozen=True)
class _Expander:
    """Expands values for one host."""

    words: Mapping[str, str]
    account: Account

    def command(self, value: Value | None) -> str | None:
        """None without one, and for `none`."""
        if value is None or value.text.lower() == "none":
            return None
        return expand(value, {letter: self.words[letter] for letter in _OF_PROXIES})

    def jump(self, value: Value | None) -> str | None:
        """The hops, each as `USER@HOST:PORT`."""
        if value is None or value.text.lower() == "none":
            return None
        hops = ",".join(as_jump(parse_address(hop)) for hop in value.text.split(","))
        said = self.command(Value(hops, value.place)) or ""
        before, _comma, _last = said.rpartition(",")
        self.command(Value(before, value.place))  # ssh expands it again for the last hop
        for hop in said.split(","):
            try:
                at = parse_address(hop)
            except UsageError as error:
                raise refused(value.place, f"`{hop}` in ProxyJump is not a host") from error
            if unsafe_name(at.host, at.user):
                raise refused(value.place, f"`{hop}` in ProxyJump has characters that ssh refuses")
        return said

    def path(self, value: Value) -> Path:
        """`~` first, then tokens and variables, whose values are not looked at again."""
        text = at_home(value, self.account)
        if not value.is_expanded:
            text = expand(replace(value, text=text), self.words, variables=True)
        return Path(text)

    def paths(self, given: Sequence[Value], usual: Sequence[str] = ()) -> tuple[Path, ...]:
        if not given:
            return tuple(Path(each).expanduser() for each in usual)
        return tuple(self.path(each) for each in given if each.text and each.text.lower() != "none")

    def agent(self, value: Value | None) -> str:
        """A socket, `none`, or empty for the default one."""
        if value is None or value.text == "SSH_AUTH_SOCK":
            return ""
        if value.text.lower() == "none":
            return "none"
        if not value.text.startswith("$") or value.text.startswith("${"):
            return str(self.path(value))
        if not re.fullmatch(r"\$\w+", value.text, re.ASCII):
            raise refused(value.place, f"{value.text} is not the name of a variable")
        return os.environ.get(value.text[1:], "none")


def tokens_of(
    text: Callable[[str], str], host: str, asked: Asked, account: Account
) -> dict[str, str]:
    """The value of each token, from the `text` of keywords and the name to connect to."""
    jump = text("proxyjump").rpartition(",")[2]
    here = socket.gethostname()
    port = text("port") or str(DEFAULT_PORT)
    user = text("user") or account.user
    gate = "" if jump.lower() in ("", "none") else parse_address(jump).host
    hashed = hashlib.sha1(os.fsencode(here + host + port + user + gate), usedforsecurity=False)
    return {
        "C": hashed.hexdigest(),
        "d": str(account.home),
        "h": host,
        "i": str(os.getuid()),
        "j": gate,
        "k": text("hostkeyalias") or asked.name,
        "L": here.partition(".")[0],
        "l": here,
        "n": asked.name,
        "p": port,
        "r": user,
        "u": account.user,
    }


def expand(value: Value, tokens: Mapping[str, str], *, variables: bool = False) -> str:
    """The text with its `%` tokens, and `${VARIABLES}` if they count, expanded in one pass.

    Raises UsageError for an unknown one.
    """

    def word(found: re.Match[str]) -> str:
        if found[0].startswith("$"):
            return _variable(found[2], bool(found[3]), value.place)
        if found[1] == "%":
            return "%"
        if found[1] not in tokens:
            raise refused(value.place, f"{found[0]} in `{value.text}` is not supported")
        return tokens[found[1]]

    return (_TOKEN_OR_VARIABLE if variables else _TOKEN).sub(word, value.text)


def _variable(name: str, is_closed: bool, place: str) -> str:
    if not is_closed or not name:
        raise refused(place, f"${{{name} is not a variable: write ${{NAME}}")
    if name not in os.environ:
        raise refused(place, f"there is no environment variable {name}")
    return os.environ[name]


def lowered(name: str) -> str:
    """A host's name in lower case, as ssh does it: ASCII only."""
    return name.translate(_LOWER)


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

    def flag(self, key: str) -> bool:
        return self.text(key).lower() in ("yes", "true")


def at_home(value: Value, account: Account) -> str:
    """The text with a leading `~` or `~USER` expanded. Raises UsageError `ssh-config`."""
    first, slash, rest = value.text.partition("/")
    if not first.startswith("~"):
        return value.text
    user = first[1:]
    try:
        home = pwd.getpwnam(user).pw_dir if user else account.home
    except (KeyError, ValueError) as error:
        raise refused(value.place, f"there is no user {user}") from error
    return f"{home}{slash}{rest}"


def port_of(value: Value | None) -> int:
    """A port, by its number or by its name in services(5). Raises UsageError `ssh-config`."""
    if value is None:
        return DEFAULT_PORT
    port = 0
    if re.fullmatch(r"[0-9]{1,9}", value.text):
        port = int(value.text)
    else:
        with contextlib.suppress(OSError, ValueError):
            port = socket.getservbyname(value.text, "tcp")
    if not 0 < port <= LAST_PORT:
        raise refused(value.place, f"{value.text} is not a port")
    return port


def seconds_of(value: Value) -> float | None:
    """A time as in sshd_config(5), or None for none. Raises UsageError `ssh-config`."""
    if value.text.lower() == "none":
        return None
    parts = re.findall(r"([0-9]{1,9})([smhdw]?)", value.text.lower())
    if "".join(number + unit for number, unit in parts) != value.text.lower() or not parts:
        raise refused(value.place, f"{value.text} is not a time")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    return float(min(seconds, _MOST_SECONDS)) or None


def family_of(value: Value | None) -> Family:
    """Raises UsageError `ssh-config`."""
    families: dict[str, Family] = {"any": "any", "inet": "inet", "inet6": "inet6"}
    if value is None:
        return "any"
    if value.text.lower() not in families:
        raise refused(value.place, f"{value.text} is not an address family")
    return families[value.text.lower()]
