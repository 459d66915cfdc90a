"""All rules, each a file of its own."""

from __future__ import annotations

from cartwheel.diagnosis import certificate, health, requests, traffic, web_errors
from cartwheel.diagnosis import clock, health, machine, names, packages, services, storage
from cartwheel.diagnosis.cause import Rule

RULES: tuple[Rule, ...] = (
    health.causes,
    requests.causes,
    web_errors.causes,
    certificate.causes,
    traffic.causes,
    storage.causes,
    services.causes,
    names.causes,
    machine.causes,
    clock.causes,
    packages.causes,
)
