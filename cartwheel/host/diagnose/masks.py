"""Take secrets out of everything that a diagnosis shows: people send it on."""

from __future__ import annotations

import base64
import dataclasses
import re
from typing import Any, Callable, Iterator, Set, Tuple, TypeVar
from urllib.parse import quote, quote_plus, unquote, urlsplit

from cartwheel.host.layout import Layout
from cartwheel.host.state import environment, releases
from cartwheel.host.system import envfile, files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.hidden import MASK

R = TypeVar("R")
Mask = Callable[[str], str]

_KEYED = ("http", "https")
_PUBLIC = "settings"  # a variable's source: its value stands in the project's settings
# Shorter values are also parts of ordinary words, and are no secrets that would last.
_LEAST = 6
_NAMED = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|COOKIE|SALT|DSN", re.IGNORECASE)
# What is a secret wherever it stands: a login in an address, a header, a parameter, a setting, a
# key in PEM.
_ANYWHERE = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@'\"]+@", re.IGNORECASE), r"\1***@"),
    (
        re.compile(r"((?:authorization|cookie)['\"]?\s*[:=]\s*['\"]?)[^'\"\r\n]+", re.IGNORECASE),
        r"\1***",
    ),
    (re.compile(r"\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE), r"\1***"),
    (
        re.compile(
            r"((?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|signature"
            r"|session(?:id)?|credential)s?['\"]?\s*[=:]\s*)(?!\*\*\*)"
            r"(?P<quote>['\"]?)(?:(?<=['\"])(?:(?!(?P=quote)).)+|[^\s'\"&,;)}\]]+)",
            re.IGNORECASE,
        ),
        r"\1\g<quote>***",
    ),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        "***",
    ),
)


def of_app(at: Layout) -> Mask:
    """A function that puts `***` in the place of every secret of the releases on this host, and of
    everything else that looks like one."""
    forms = sorted(set(_forms(at)), key=len, reverse=True)
    known = re.compile("|".join(map(re.escape, forms))) if forms else None

    def mask(text: str) -> str:
        if known is not None:
            text = known.sub(MASK, text)
        for pattern, instead in _ANYWHERE:
            text = pattern.sub(instead, text)
        return text

    return mask


def masked(value: R, mask: Mask) -> R:
    """The same record with all its texts masked."""
    found: R = _masked(value, mask)
    return found


# Any: fields of all types.
def _masked(value: Any, mask: Mask) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, tuple):
        return tuple(_masked(one, mask) for one in value)
    if isinstance(value, dict):
        return {mask(key): _masked(one, mask) for key, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return dataclasses.replace(
            value, **{name: _masked(inner, mask) for name, inner in own.items()}
        )
    return value


def _forms(at: Layout) -> Iterator[str]:
    """Every secret value, in each way in which a log may write it."""
    for secret in _secrets(at):
        yield from (secret, repr(secret)[1:-1], quote(secret, safe=""), quote_plus(secret))
        yield base64.b64encode(secret.encode()).decode().rstrip("=")
        yield from (line for line in secret.splitlines() if len(line) >= _LEAST)


def _secrets(at: Layout) -> Set[str]:
    found: Set[str] = set()
    for release in releases.names(at):
        known = releases.manifest(at, release).env
        try:
            values = environment.variables(at, release)
        except (OpError, OSError):
            values = {}
        for name, value in values.items():
            public = name in known and known[name].source == _PUBLIC
            found.update(_hidden(name, value, public))
        for name, value in _own_variables(at, release):
            found.update(_hidden(name, value, True))
    return {one for one in found if len(one) >= _LEAST}


def _own_variables(at: Layout, release: str) -> Iterator[Tuple[str, str]]:
    """The variables of single processes and of timers' jobs: they stand in the settings."""
    for name in files.names(at.release(release)):
        if name.endswith(".env"):
            try:
                text = (at.release(release) / name).read_text(encoding="utf-8")
                yield from envfile.parse(text).items()
            except (OSError, ValueError):
                continue


def _hidden(name: str, value: str, public: bool) -> Iterator[str]:
    """What of a variable must not be shown."""
    if not public or _NAMED.search(name):
        yield value
    yield from _login(value)


def _login(value: str) -> Iterator[str]:
    """The password of an address; or its name, where a key stands there alone."""
    try:
        parts = urlsplit(value)
        secret = parts.password or (parts.username if parts.scheme in _KEYED else None)
    except ValueError:
        return
    if secret:
        yield from (secret, unquote(secret))
