"""All rules, each a file of its own."""

from __future__ import annotations

from cartwheel.diagnosis import health
from cartwheel.diagnosis.cause import Rule

RULES: tuple[Rule, ...] = (health.causes,)
