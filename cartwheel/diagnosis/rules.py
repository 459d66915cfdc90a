"""All rules, each a file of its own."""

from __future__ import annotations

from cartwheel.diagnosis import (
    certificate,
    clock,
    health,
    machine,
    names,
    packages,
    requests,
    services,
    storage,
    traffic,
    web_errors,
)
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
