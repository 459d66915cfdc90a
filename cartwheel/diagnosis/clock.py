"""A clock that is wrong: certificates, signatures and sessions fail with it."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis.cause import GUESSED, NAMED, SOON, Case, Cause
from cartwheel.diagnosis.units import span_text

# Some signatures allow a minute, most (Kerberos, AWS, many tokens) five.
_OFF_SECONDS = 60.0
_FAR_SECONDS = 300.0
# A time service needs some minutes after its start.
_PATIENCE_SECONDS = 900.0
_FOLLOWS = frozenset({"exceptions", "answers-5xx", "certificate", "service-certificate", "https"})


def causes(case: Case) -> Iterator[Cause]:
    """Compared with the operator's clock, and by what the host's time service says."""
    machine = case.found.machine
    service = machine.time_service if machine else ""
    shows = f"`timedatectl` on {case.host} shows it"
    if service:
        todo = f"{shows}; `systemctl restart {service}` sets the clock anew"
    else:
        todo = f"{shows}; a time service keeps it right (`apt-get install systemd-timesyncd`)"
    evidence = tuple(one.detail for one in case.found.changes if one.kind == "clock")
    off = abs(case.off_seconds)
    if off > _OFF_SECONDS:
        way = "ahead of" if case.off_seconds > 0 else "behind"
        yield Cause(
            "clock",
            f"the host's clock is {span_text(off / 3600)} {way} this machine's",
            f"{todo} (or this machine's clock is wrong)",
            NAMED if off > _FAR_SECONDS else GUESSED,
            evidence,
            explains=_FOLLOWS,
        )
    elif machine and machine.synchronized is False and _had_time(machine.time_service_seconds):
        yield Cause(
            "clock",
            f"{service} runs, but does not set the clock",
            f"{todo}; `journalctl -u {service}` says why not",
            SOON,
            evidence,
        )


def _had_time(seconds: float | None) -> bool:
    return seconds is not None and seconds > _PATIENCE_SECONDS
