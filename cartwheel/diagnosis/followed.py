"""What follows from a trouble of the host, by its slug: requests and processes suffer."""

from __future__ import annotations

APP = frozenset(
    {
        *("app-ill", "front-door-ill", "process-ill", "boot-failed", "exceptions", "answers-5xx"),
        *("slow", "worker-timeout", "workers-busy", "worker-died", "restarts", "log-flood"),
        *("errors-logged", "web-errors-timeout", "web-errors-upstream", "web-errors-queue"),
    }
)
"""What an app shows that lacks something it needs."""
SLOW = frozenset(
    {
        *("slow", "worker-timeout", "workers-busy", "answers-5xx", "front-door-ill"),
        *("web-errors-timeout", "web-errors-queue"),
    }
)
"""What a host shows that is too slow."""
