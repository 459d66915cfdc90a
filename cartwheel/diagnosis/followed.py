"""What follows from a trouble of the host, by its slug: requests and processes suffer."""

from __future__ import annotations

UPSTREAM = frozenset(
    f"web-errors-{kind}"
    for kind in (
        *("no-socket", "refused", "no-upstream", "cut", "timeout", "queue", "connections", "crash"),
    )
)
"""What a web server says of an app that does not answer it."""
SLOW = frozenset(
    {
        *("slow", "worker-timeout", "workers-busy", "answers-5xx", "front-door-ill"),
        *("web-errors-timeout", "web-errors-queue", "web-errors-connections", "client-gave-up"),
    }
)
"""What a host shows that is too slow."""
APP = (
    SLOW
    | UPSTREAM
    | frozenset(
        {
            *("app-ill", "process-ill", "boot-failed", "exceptions", "worker-died", "restarts"),
            *("log-flood", "errors-logged", "timer"),
        }
    )
)
"""What an app shows that lacks something it needs."""
