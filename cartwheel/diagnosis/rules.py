"""All rules, each a file of its own."""

from __future__ import annotations

from cartwheel.diagnosis import (
    certificate,
    clock,
    exceptions,
    health,
    kernel,
    limits,
    log_flood,
    machine,
    memory,
    names,
    packages,
    requests,
    restarts,
    services,
    services_logged,
    starting,
    storage,
    timers,
    traffic,
    web_errors,
    workers,
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
    memory.causes,
    workers.causes,
    exceptions.causes,
    starting.causes,
    timers.causes,
    limits.causes,
    services_logged.causes,
    log_flood.causes,
    kernel.causes,
    restarts.causes,
)
