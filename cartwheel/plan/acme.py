"""What a deploy does where hosts ask a certificate authority for their certificate; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cartwheel.plan.host_plan import Refusal, Tls
from cartwheel.settings.certificates import Certificate
from cartwheel.settings.tls_checks import FILES_INSTEAD
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts
    from cartwheel.host.wire.tls import End, Order, TlsThere

# Authorities issue few equal certificates in a week (Let's Encrypt: five).
MOST_HOSTS = 4
RENEWED_AT = 1 / 3  # of the lifetime is left; the host itself decides by `web.order`


def order_of(settings: Settings, roots: str) -> Order:
    """What the hosts ask for; `roots` of a private CA as PEM."""
    from cartwheel.host.wire.tls import Order

    tls, names = settings.tls, tuple(name.lower() for name in settings.web.names)
    return Order(names, tls.directory, tls.mail or "", roots)


def plan_acme(
    facts: Facts, site: str, order: Order, known: Certificate | None, end: End = "app"
) -> Tls:
    """What happens on this host. `known`: the certificate that it serves; `end`: where."""
    from cartwheel.host.wire.tls import InstallAcme

    there, now, install = facts.tls, facts.host.time, InstallAcme(order, site, end)
    is_same_site = there is not None and there.site == hashlib.sha256(site.encode()).hexdigest()
    is_same_order = there is not None and there.order == order
    who = ", ".join(order.names)
    if known is None or not _is_known(there, order) or not _fits(known, order, now):
        change = f"asks {order.directory} for a certificate for {who}"
        return Tls(change, install, asks_for=order.names)
    serves = f"serves {who} until {known.day} ({known.days_left(now)} days)"
    if there is not None and there.failed:
        return Tls(f"tries again what failed, {serves}", install)
    if not is_same_site or not is_same_order:
        return Tls(f"other settings, {serves}", install)
    if there is not None and not there.is_watched:
        return Tls(f"its units are not whole, {serves}", install)
    return Tls(serves)


def _is_known(there: TlsThere | None, order: Order) -> bool:
    """Whether the certificate is from the same account of the same authority."""
    was = there.order if there is not None else None
    return was is not None and (was.directory, was.mail) == (order.directory, order.mail)


def _fits(known: Certificate, order: Order, now: float) -> bool:
    return set(known.names) == set(order.names) and known.part_left(now) > RENEWED_AT


def acme_notes(facts: Facts) -> Iterator[str]:
    """How the last try ended."""
    if facts.tls is not None and facts.tls.failed:
        yield f"the last try to get a certificate failed: {facts.tls.failed}"


def acme_refusals(settings: Settings, facts: Facts) -> Iterator[Refusal]:
    if settings.tls.acme and not facts.certbot:
        yield Refusal("no-certbot", "tls.acme is set, and the host has no certbot")


def too_many_hosts(settings: Settings, count: int) -> str:
    """The error message if more than MOST_HOSTS hosts, or balancers, would ask; "" if not."""
    if not settings.tls.acme or count <= MOST_HOSTS:
        return ""
    who = f"{count} hosts run web" if settings.tls_end == "app" else f"there are {count} balancers"
    return (
        f"tls.acme: {who}, and each asks for a certificate of its own: more than"
        f" {MOST_HOSTS} are too many for an authority; {FILES_INSTEAD}"
    )


# -- where the names lead, as the operator's machine sees it; advice, never a gate


def dns_notes(
    found: Mapping[str, Iterable[str] | None], hosts: Mapping[str, Iterable[str]]
) -> Iterator[str]:
    """`found`: the addresses of each name, None if it is not known; `hosts`: those of the hosts.
    Authorities prefer an AAAA to an A."""
    known = {address for addresses in hosts.values() for address in addresses}
    for name, addresses in found.items():
        if addresses is None:
            continue
        strange = [address for address in addresses if address not in known]
        if not [*addresses]:
            yield f"{name} has no address (DNS), as this machine sees it: the authority needs one"
        for address in strange:
            kind = "AAAA" if ":" in address else "A"
            whose = "which is not this host" if len(hosts) == 1 else "which is none of the hosts"
            yield f"{name} has the {kind} {address}, {whose}, as this machine sees it"
