"""Whether a site answers, and whether a host can be looked into."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Look, Probe
from cartwheel_monitor.rules import certificate
from cartwheel_monitor.subjects import HOST, SITE, Subject, Verdict


def of_probe(probe: Probe, limits: Limits) -> Iterator[Verdict]:
    """What an answer from outside says."""
    yield Verdict(Subject(SITE.name, probe.app, "", probe.site), probe.at, probe.problem)
    yield from certificate.of_probe(probe, limits)


def of_look(look: Look) -> Verdict:
    """Whether the host answered."""
    return Verdict(Subject(HOST.name, "", look.host), look.at, look.problem)
