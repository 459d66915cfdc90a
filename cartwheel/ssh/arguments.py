"""Parses a command line of ssh(1), as in Ansible's variables; pure.

Options that change the host or the login are kept as keywords of ssh_config(5); options that
Cartwheel does not support are refused by name.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

Option = tuple[str, str]  # a keyword in lower case, and its value

# Keywords of ssh_config that Cartwheel honours (found.py).
HONOURED = frozenset(
    {"addressfamily", "bindaddress", "connecttimeout", "globalknownhostsfile", "hostkeyalias"}
    | {"hostname", "identitiesonly", "identityagent", "identityfile", "port", "proxycommand"}
    | {"proxyjump", "revokedhostkeys", "user", "userknownhostsfile"}
)
# Keywords that change neither the host nor the login: the use of the connection, the output, the
# order of attempts, shared sessions. StrictHostKeyChecking is ignored on purpose: `ssh.host_keys`
# decides (docs/ssh.md).
WITHOUT_EFFECT = frozenset(
    {"addkeystoagent", "batchmode", "checkhostip", "ciphers", "clearallforwardings"}
    | {"compression", "connectionattempts", "controlmaster", "controlpath", "controlpersist"}
    | {"enableescapecommandline", "escapechar", "exitonforwardfailure", "fingerprinthash"}
    | {"forwardagent", "forwardx11", "forwardx11timeout", "forwardx11trusted"}
    | {"gssapiauthentication", "gssapidelegatecredentials", "gssapikeyexchange"}
    | {"hashknownhosts", "hostbasedauthentication", "hostkeyalgorithms", "ipqos"}
    | {"kbdinteractiveauthentication", "kexalgorithms", "loglevel", "macs"}
    | {"challengeresponseauthentication", "nohostauthenticationforlocalhost"}
    | {"numberofpasswordprompts", "passwordauthentication", "permitlocalcommand"}
    | {"preferredauthentications", "pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes"}
    | {"pubkeyauthentication", "rekeylimit", "requesttty", "requiredrsasize", "sendenv"}
    | {"serveralivecountmax", "serveraliveinterval", "setenv", "stricthostkeychecking"}
    | {"syslogfacility", "tcpkeepalive", "updatehostkeys", "verifyhostkeydns", "visualhostkey"}
)
# The letters of ssh(1), with and without a value.
_KEYWORD_OF = {"b": "bindaddress", "i": "identityfile", "J": "proxyjump", "l": "user", "p": "port"}
_MEANING = {"4": ("addressfamily", "inet"), "6": ("addressfamily", "inet6")}
_LETTERS_WITHOUT_EFFECT = frozenset("AaCfgKkMNnqsTtvXxYy")
_VALUES_WITHOUT_EFFECT = frozenset("cEemS")
_VALUES_REFUSED = frozenset("BDFILOPQRWw")


class ArgumentError(ValueError):
    """An option that cannot be honoured, and why."""


def parse(text: str) -> tuple[Option, ...]:
    """The options of one variable, in their order. Raises ArgumentError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ArgumentError(f"{text!r} is not a command line: {error}") from error
    return tuple(_options(words))


def _options(words: Sequence[str]) -> Iterator[Option]:
    """The options as getopt(3) reads them: letters may share a word, a value may follow."""
    left = list(words)
    while left:
        word = left.pop(0)
        if len(word) < len("-x") or not word.startswith("-") or word == "--":
            raise ArgumentError(f"{word} is not an option of ssh")
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _MEANING:
                yield _MEANING[letter]
            elif letter not in _LETTERS_WITHOUT_EFFECT:
                value = letters or (left.pop(0) if left else None)
                letters = ""
                yield from _with_value(letter, value)


def _with_value(letter: str, value: str | None) -> Iterator[Option]:
    if letter in _VALUES_REFUSED:
        raise ArgumentError(f"-{letter} cannot be honoured")
    if letter not in ("o", *_KEYWORD_OF, *_VALUES_WITHOUT_EFFECT):
        raise ArgumentError(f"-{letter} is not an option of ssh")
    if value is None:
        raise ArgumentError(f"-{letter} has no value")
    if letter == "o":
        yield from _keyword(value)
    elif letter in _KEYWORD_OF:
        yield _KEYWORD_OF[letter], quoted(value)


def _keyword(text: str) -> Iterator[Option]:
    """`Key=Value` or `Key Value`, as a line of ssh_config."""
    at = next((n for n, character in enumerate(text) if character in "= \t"), len(text))
    key, value = text[:at].lower(), text[at:].strip(" \t")
    value = value.removeprefix("=").strip()
    if not key or not value:
        raise ArgumentError(f"-o {text} has no value")
    if key in HONOURED:
        yield key, value
    elif key not in WITHOUT_EFFECT:
        raise ArgumentError(f"-o {text} cannot be honoured")


def quoted(value: str) -> str:
    """Quote one word for a line of ssh_config."""
    if value and not set(value) & set(" \t\"'\\#"):
        return value
    text = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
