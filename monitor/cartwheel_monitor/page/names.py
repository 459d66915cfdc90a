"""What incidents and limits are called, for people."""

from __future__ import annotations

from dataclasses import dataclass

from cartwheel_monitor.language import _, _n
from cartwheel_monitor.limits import Limits
from cartwheel_monitor.messages import span
from cartwheel_monitor.page import words
from cartwheel_monitor.subjects import DEPLOY, Subject

_DAY = 86400.0


@dataclass(frozen=True)
class Limit:
    """`setting`: in `[monitor]`, "" where it cannot be set."""

    setting: str
    value: str
    meaning: str


def kind(name: str) -> str:
    """A kind of trouble (subjects.KINDS)."""
    return {
        "site": _("site"),
        "host": _("host"),
        "errors": _("5xx answers"),
        "slow": _("slow answers"),
        "process": _("process"),
        "restarts": _("restarts"),
        "timer": _("timer"),
        "memory": _("memory"),
        "disk": _("disk"),
        "clock": _("clock"),
        "certificate": _("certificate"),
        "behind": _("host is behind"),
        "deploy": _("deploy"),
        "unfinished": _("unfinished deploy"),
        "network": _("the monitor's network"),
    }[name]


def subject(one: Subject) -> str:
    """`process web1 worker 1`; of a deploy `about` is its line in the journal."""
    about = "" if one.kind == DEPLOY.name else one.about
    return " ".join(filter(None, (kind(one.kind), one.host, about)))


def ahead(seconds: float) -> str:
    """A clock that is so much ahead of the monitor's."""
    if abs(seconds) < 1:
        return _("right")
    if seconds > 0:
        return _("{span} ahead").format(span=span(seconds))
    return _("{span} behind").format(span=span(-seconds))


def limits(one: Limits, every: float) -> list[Limit]:
    """From when on something is wrong, with what that means."""
    memory, disk = words.percent(one.memory_share, 0), words.percent(one.disk_share, 0)
    days = _n("{count} day", "{count} days", round(one.certificate_seconds / _DAY))
    hours = _n("{count} hour", "{count} hours", round(one.disk_hours))
    return [
        Limit("every_seconds", span(every), _("How often each site and each host is looked at.")),
        Limit(
            "errors_percent",
            words.percent(one.errors_share, 1),
            _(
                "More 5xx answers than this are wrong: of at least {count} requests in {span}, and"
                " clearly more than usual."
            ).format(count=one.errors_requests, span=span(one.window_seconds)),
        ),
        Limit(
            "slow_seconds",
            words.seconds(one.slow_seconds),
            _(
                "Slower is wrong, if 5 of 100 requests are, and it is {times} times as slow as"
                " usual at this hour."
            ).format(times=f"{one.slow_times:g}"),
        ),
        Limit("memory_percent", memory, _("Less memory available on a host is wrong.")),
        Limit(
            "disk_percent",
            disk,
            _("Less free room on a disk is wrong (of large disks: less than {size}), or inodes.")
            .format(size=words.size(one.disk_bytes)),
        ),
        Limit("disk_hours", hours, _("A disk that will be full sooner is wrong.")),
        Limit(
            "certificate_days",
            days,
            _("A certificate that ends sooner is wrong; of a short one, the last {share}.")
            .format(share=words.percent(one.certificate_share, 0)),
        ),
        Limit("clock_seconds", span(one.clock_seconds), _("A clock that is further off is wrong.")),
        Limit("", span(one.timer_late_seconds), _("A timer that is later is wrong.")),
        Limit(
            "",
            str(one.restarts),
            _("This many restarts of a process by systemd within {span} are wrong.").format(
                span=span(one.restart_seconds)
            ),
        ),
        Limit(
            "",
            span(one.behind_seconds),
            _("A host that serves another release than the others for this long is wrong."),
        ),
    ]  # fmt: skip
