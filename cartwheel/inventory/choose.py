"""Chooses the hosts of a task: the named ones, then narrowed by options; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from cartwheel.errors import UsageError
from cartwheel.settings.hosts import Host
from cartwheel.ssh.address import parse_address

ON_THE_COMMAND_LINE = "-H"


@dataclass(frozen=True)
class Narrowing:
    """The values of --role, --limit and --exclude. Patterns are shell patterns for the names of
    hosts and groups; one match is enough."""

    roles: tuple[str, ...] = ()
    limit: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = (("--role", self.roles), ("--limit", self.limit), ("--exclude", self.exclude))
        return " ".join(f"{option} {','.join(said)}" for option, said in words if said)


def choose(
    hosts: Sequence[Host],
    named: Iterable[str],
    narrowing: Narrowing,
    default_roles: Iterable[str] = (),
) -> tuple[Host, ...]:
    """The hosts of -H, or all hosts of the inventory that have one of `default_roles` (or of
    --role); narrowed. Empty if there is nothing to choose from.

    Raises UsageError("no-hosts") if narrowing leaves none, and UsageError("usage") for a name
    that is not an address.
    """
    called = [_named(name, hosts) for name in named]
    chosen = called or list(hosts)
    roles = narrowing.roles or (() if called else tuple(default_roles))
    left = [
        host
        for host in chosen
        if (not roles or set(roles) & set(host.roles))
        and (not narrowing.limit or _matches(host, narrowing.limit))
        and not _matches(host, narrowing.exclude)
    ]
    if chosen and not left:
        raise _nothing_left(chosen, roles, narrowing)
    return tuple(left)


def _named(name: str, hosts: Sequence[Host]) -> Host:
    """A host of the inventory, perhaps with another user or port, or a host that is not in it."""
    known = {host.name: host for host in hosts}
    if name in known:
        return known[name]
    at = parse_address(name)
    if at.host not in known:
        return Host(name=name, source=ON_THE_COMMAND_LINE)
    host = known[at.host]
    return replace(
        host,
        name=name,
        address=host.address or at.host,
        user=at.user or host.user,
        port=at.port or host.port,
    )


def _matches(host: Host, patterns: Iterable[str]) -> bool:
    names = (host.name, *host.groups)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _nothing_left(chosen: Sequence[Host], roles: Sequence[str], narrowing: Narrowing) -> UsageError:
    said = str(narrowing)
    have = sorted({role for host in chosen for role in host.roles})
    if not said:
        return UsageError(
            "no-hosts",
            f"none of {len(chosen)} hosts has the role {' or '.join(roles)}, which the app needs",
            hint=f"Known roles: {', '.join(have) or 'none'}. Set app.roles, or use --role.",
        )
    return UsageError(
        "no-hosts",
        f"{said} leaves none of {len(chosen)} hosts",
        hint="`fab inventory` shows hosts, roles and groups.",
    )
