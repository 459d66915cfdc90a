"""What a deploy does to HTTPS on one host, after its switch; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.hidden import Hidden
from cartwheel.plan.acme import acme_notes, acme_refusals, plan_acme
from cartwheel.plan.host_plan import Refusal, Tls
from cartwheel.settings import names
from cartwheel.settings.certificates import Certificate, CertificateError, Pair, covers, read

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts, Server
    from cartwheel.host.wire.tls import End, InstallTls, Order, TlsFiles, TlsThere
    from cartwheel.settings.toml_tables import Settings

_NAME_HEX = 12  # as `web.tls.SET` on the host


@dataclass(frozen=True)
class Brought:
    """A certificate that a deploy brings to the hosts, with its key."""

    pair: Pair
    key: Hidden

    @property
    def name(self) -> str:
        """A digest of both: the folder's name on the host."""
        text = f"{self.pair.chain}\0{self.key.reveal()}"
        return hashlib.sha256(text.encode()).hexdigest()[:_NAME_HEX]


def plan_tls(
    settings: Settings,
    facts: Facts,
    site: str,
    source: Brought | Order | None,
    *,
    has_web: bool,
    end: End = "app",
    until: str = "",
) -> Tls | None:
    """What happens; None if the host has no HTTPS and gets none. `site`: what the site `end` is to
    include; `source`: where the certificate comes from, None: the host has it. `until`: what
    must be true before the host may stop to serve HTTPS; "" for nothing."""
    there = facts.tls
    if not settings.tls.is_on or not has_web or settings.tls_end != end:
        return _without(there, end, until if has_web else "")
    now, known = facts.host.time, certificate(there.certificate if there else "")
    if source is not None and not isinstance(source, Brought):
        return plan_acme(facts, site, source, known, end)
    brought = source
    wanted = brought.pair.certificate if brought else known
    what = _served(settings, wanted, now)
    live = brought.name if brought else ""
    is_same_site = there is not None and there.site == hashlib.sha256(site.encode()).hexdigest()
    is_same = (
        there is not None
        and there.live == live
        and bool(there.certificate)
        and there.order is None  # otherwise the host goes on asking an authority
    )
    if is_same and is_same_site and there is not None and there.is_watched:
        return Tls(f"serves {what}")
    if there is None or not there.site:
        change = f"begins to serve {what}"
    elif not is_same:
        change = f"another certificate, serves {what}"
    elif not is_same_site:
        change = f"other settings, serves {what}"
    else:
        change = f"its units are not whole, serves {what}"
    return Tls(change, _install(settings, site, brought, end))


def _without(there: TlsThere | None, end: End, until: str) -> Tls | None:
    from cartwheel.host.wire.tls import RemoveTls

    if there is None or there.end != end:
        return None  # HTTPS in the host's other site is not this run's
    return Tls(f"goes on until {until}") if until else Tls("is removed", RemoveTls())


def _install(settings: Settings, site: str, brought: Brought | None, end: End) -> InstallTls:
    from cartwheel.host.wire.tls import InstallTls, TlsFiles

    files: TlsFiles | None = None
    if brought is not None:
        files = TlsFiles(brought.name, brought.pair.chain, brought.key)
    return InstallTls(files, site, settings.web.names, end)


def certificate(pem: str) -> Certificate | None:
    """The first one in a text; None if there is none."""
    try:
        return read(pem) if pem else None
    except CertificateError:
        return None


def _served(settings: Settings, known: Certificate | None, now: float) -> str:
    """Who is served, and until when if that is known."""
    who = ", ".join(settings.web.names) or "every name"
    if known is None:
        return f"{who} with {settings.tls.host_certificate}"
    return f"{who} until {known.day} ({known.days_left(now)} days)"


def tls_notes(settings: Settings, facts: Facts, source: Brought | Order | None) -> Iterator[str]:
    """What to know about the certificate. That of a host cannot be checked before it is served."""
    if settings.tls_end != "app":
        return
    if isinstance(source, Brought):
        yield from source.pair.notes
        return
    if source is not None:
        yield from acme_notes(facts)
        return
    known = certificate(facts.tls.certificate) if settings.tls.is_on and facts.tls else None
    missing = [name for name in settings.web.names if known and not covers(known.names, name)]
    if missing:
        yield f"{settings.tls.host_certificate} is not for {', '.join(missing)}"


def tls_refusals(settings: Settings, facts: Facts, *, end: End = "app") -> Iterator[Refusal]:
    """The port of HTTPS in the hands of another program, or of another site with our names."""
    if not settings.tls.is_on or settings.tls_end != end:
        return
    yield from acme_refusals(settings, facts)
    port, web = settings.tls.listen, names.web_server(settings).program
    holder = facts.ports.get(str(port))
    if holder not in (None, web):
        yield Refusal("port-taken", f"port {port} (tls.listen) is used by {holder}")
    others = [one for one in facts.servers if _is_other(settings, one) and port in one.ports]
    for name in settings.web.names:
        for one in others:
            if name.lower() in one.names:
                what = f"{one.file} already has the server name {name} on port {port}"
                yield Refusal("server-name-taken", what)
    if not settings.web.server_names:
        for one in others:
            if port in one.default_ports:
                what = f"web.server_names is empty, and {one.file} is the default site of {port}"
                yield Refusal("server-name-needed", what)


def _is_other(settings: Settings, one: Server) -> bool:
    """The HTTPS of our own sites is in files that they include."""
    return one.file not in names.our_sites(settings)
