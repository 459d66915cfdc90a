"""What a site does at its door, from the settings: rules and limits by path; pure.

A rule holds for its path and everything below. For each thing that rules say, the longest path
that says it decides.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from cartwheel.settings import names
from cartwheel.settings.toml_tables import Settings, WebPath

# Where the web server's own pages are; only it leads there.
OWN_PATH = "/.cartwheel/"
_CHALLENGES = "/.well-known/acme-challenge/"
# Statuses that the web server may answer with itself.
STATUSES = (400, 401, 403, 404, 405, 413, 414, 429, 500, 502, 503, 504)
# The web server's way from a location to its twin for streams; no status of HTTP.
_FIRST_CODE = 599

T = TypeVar("T")


@dataclass(frozen=True)
class Networks:
    """Who may ask for a path. `refuses`: whether addresses that are not listed are refused;
    `known`: networks, and whether each is refused. The narrowest network decides."""

    number: int
    refuses: bool
    known: tuple[tuple[str, bool], ...]

    @property
    def narrowest_first(self) -> list[tuple[str, bool]]:
        """For a web server in which the first match decides."""
        return sorted(self.known, key=lambda one: -ipaddress.ip_network(one[0]).prefixlen)


@dataclass(frozen=True)
class Zone:
    """A rate limit: so many requests of one client in a second (`s`) or a minute (`m`), and as many
    at once."""

    number: int
    count: int
    per: str


@dataclass(frozen=True)
class Place:
    """Requests that are passed on with limits of their own: `path` without a slash at its end, ""
    for all others. `body` and `seconds`: None for the site's own."""

    path: str
    suffix: str
    code: int
    body: str | None
    seconds: int | None


@dataclass(frozen=True)
class Door:
    """Everything that the templates need. Rules are (pattern, value), the longest path first; the
    first match decides. `free`: patterns of paths that no rule is for."""

    free: tuple[str, ...]
    access: tuple[tuple[str, int | None], ...]
    networks: tuple[Networks, ...]
    users: tuple[tuple[str, str], ...]
    rates: tuple[tuple[str, int], ...]
    zones: tuple[Zone, ...]
    places: tuple[Place, ...]
    statuses: tuple[int, ...] = STATUSES

    @property
    def retry_seconds(self) -> int:
        """After this long another request of a refused client is allowed, whatever the limit."""
        of_minutes = [math.ceil(60 / zone.count) for zone in self.zones if zone.per == "m"]
        return max(of_minutes, default=1)

    @property
    def is_guarded(self) -> bool:
        """Whether some path has another rule than the rest."""
        return bool(self.access or self.users or self.rates)


def door_of(settings: Settings) -> Door:
    """The rules and limits of [web] and [web.paths]."""
    access = _ruled(settings, lambda rule: rule if _has_access(rule) else None)
    networks = {path: number for number, (path, rule) in enumerate(access) if not rule.public}
    rates = _ruled(settings, lambda rule: rule.rate_limit)
    if settings.web.rate_limit is not None and "" not in dict(rates):
        rates.append(("", settings.web.rate_limit))
    users = _ruled(settings, lambda rule: rule if rule.users or rule.public else None)

    def at(path: str) -> str:
        return pattern(settings.web.prefix + path)

    return Door(
        free=_free(settings),
        access=tuple((at(path), networks.get(path)) for path, _rule in access) if networks else (),
        networks=tuple(
            _networks(number, rule)
            for number, (_path, rule) in enumerate(access)
            if not rule.public
        ),
        users=tuple(
            (at(path), "" if rule.public else names.users_file(path)) for path, rule in users
        )
        if any(rule.users for _path, rule in users)
        else (),
        rates=tuple((at(path), number) for number, (path, _rate) in enumerate(rates)),
        zones=tuple(_zone(number, rate) for number, (_path, rate) in enumerate(rates)),
        places=_places(settings),
    )


def largest_body(settings: Settings) -> str:
    """The largest of all size limits, for a balancer in front of the site; "0" for no limit."""
    rules = settings.web.paths.values()
    limits = [settings.web.client_max_body_size]
    limits += [rule.client_max_body_size for rule in rules if rule.client_max_body_size is not None]
    return "0" if any(size_bytes(one) == 0 for one in limits) else max(limits, key=size_bytes)


def longest_seconds(settings: Settings, usual: int) -> int:
    """The longest time that the site waits for an answer; `usual` where no path says another."""
    rules = settings.web.paths.values()
    return max(usual, *(rule.timeout_seconds or 0 for rule in rules), 0)


def size_bytes(size: str) -> int:
    """A size as settings have it (`10m`), as a number."""
    number = size.rstrip("kmg")
    return int(number) << 10 * " kmg".index(size[len(number) :] or " ")


def plain(path: str) -> str:
    """A rule's path without a slash at its end: `/admin` and `/admin/` are the same."""
    return path.rstrip("/")


def pattern(path: str) -> str:
    """A regular expression (PCRE) for a rule's path and all below it."""
    parts = [re.escape(part) for part in plain(path).split("/")[1:]]
    return "^" + "".join(f"/+{part}" for part in parts) + r"(?:/|\n?\z)"


def _ruled(settings: Settings, read: Callable[[WebPath], T | None]) -> list[tuple[str, T]]:
    """What rules say, by path, the longest first."""
    found = [(plain(path), read(rule)) for path, rule in settings.web.paths.items()]
    told = [(path, value) for path, value in found if value is not None]
    return sorted(told, key=lambda one: (-one[0].count("/"), -len(one[0]), one[0]))


def _has_access(rule: WebPath) -> bool:
    return bool(rule.public or rule.allow or rule.deny)


def _free(settings: Settings) -> tuple[str, ...]:
    """No rule holds for the web server's own pages, the challenges of an authority, and the health
    check, which balancers ask for; unless a rule has its very path."""
    found = [f"^{re.escape(OWN_PATH)}"]
    if settings.tls.acme:
        found.append(f"^{re.escape(_CHALLENGES)}")
    health = unquote(urlsplit(settings.health.path).path)
    ruled = [plain(path) for path, rule in settings.web.paths.items() if rule.restricts]
    if plain(health) not in ruled:
        found.append(rf"^{re.escape(settings.web.prefix + health)}\z")
    return tuple(found)


def _networks(number: int, rule: WebPath) -> Networks:
    listed = [(text, False) for text in rule.allow] + [(text, True) for text in rule.deny]
    known = tuple((str(ipaddress.ip_network(text)), refused) for text, refused in listed)
    return Networks(number, bool(rule.allow), known)


def _zone(number: int, rate: str) -> Zone:
    count, _, per = rate.partition("/")
    return Zone(number, int(count), per)


def _places(settings: Settings) -> tuple[Place, ...]:
    bodies = _ruled(settings, lambda rule: rule.client_max_body_size)
    seconds = _ruled(settings, lambda rule: rule.timeout_seconds)
    paths = sorted({path for path, _value in (*bodies, *seconds)} - {""})
    return tuple(
        Place(
            path=settings.web.prefix + path if path else "",
            suffix=f"_{number}" if path else "",
            code=_FIRST_CODE - number,
            body=_nearest(bodies, path),
            seconds=_nearest(seconds, path),
        )
        for number, path in enumerate(["", *paths])
    )


def _nearest(told: list[tuple[str, T]], path: str) -> T | None:
    """What the longest rule around a path says; None if none does."""
    return next((value for other, value in told if f"{path}/".startswith(f"{other}/")), None)
