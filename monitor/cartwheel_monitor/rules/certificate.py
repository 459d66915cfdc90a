"""A certificate that ends soon, or has ended."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel_monitor.language import _, _n
from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Around, Look, Probe
from cartwheel_monitor.subjects import CERTIFICATE, Subject, Verdict

_HOUR = 3600.0
_DAY = 24 * _HOUR


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """As the host says. Both times are by the monitor's clock: a wrong one of the host is another
    trouble."""
    for app in look.seen.apps if look.seen else ():
        if app.until is not None:
            found = _problem(app.until, app.valid_from, look.at, around.limits)
            yield Verdict(Subject(CERTIFICATE.name, app.app, look.host), look.at, found)


def of_probe(probe: Probe, limits: Limits) -> Iterator[Verdict]:
    """As visitors see it: perhaps that of a proxy."""
    about = Subject(CERTIFICATE.name, probe.app, "", probe.site)
    if probe.until is not None:
        found = _problem(probe.until, probe.valid_from, probe.at, limits)
        yield Verdict(about, probe.at, found)


def _problem(until: float, valid_from: float | None, now: float, limits: Limits) -> str:
    left = until - now
    if left <= 0:
        return _("its certificate has ended {ago} ago").format(ago=_span(-left))
    soon = limits.certificate_seconds
    if valid_from is not None and valid_from < until:
        soon = min(soon, (until - valid_from) * limits.certificate_share)
    if left >= soon:
        return ""
    return _("its certificate ends in {span}").format(span=_span(left))


def _span(seconds: float) -> str:
    if seconds >= 2 * _DAY:
        return _n("{count} day", "{count} days", int(seconds // _DAY))
    return _n("{count} hour", "{count} hours", int(seconds // _HOUR))
