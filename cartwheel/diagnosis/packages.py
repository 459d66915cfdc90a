"""Programs and libraries that were replaced below the running app. Only on a host that is ill:
every update does this, and most apps run on well."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis.cause import SOON, Case, Cause

_FAILED_PART = 0.005  # as many failed requests as a healthy host may have


def causes(case: Case) -> Iterator[Cause]:
    """Nothing on a host that serves well."""
    machine = case.found.machine
    if machine is None or not _is_ill(case):
        return
    if machine.replaced:
        yield Cause(
            "replaced",
            f"the app still runs from files that were replaced: {', '.join(machine.replaced[:3])}",
            f"`fab restart -H {case.host}` starts it with the new ones",
            SOON,
            tuple(one.detail for one in case.found.changes if one.kind == "packages"),
        )
    newest = machine.newest_kernel
    if newest and newest != machine.kernel and machine.restart_wanted:
        yield Cause(
            "kernel",
            f"the host waits for a reboot: it runs {machine.kernel}, and {newest} is installed",
            f"reboot {case.host} when that suits",
            SOON,
        )


def _is_ill(case: Case) -> bool:
    serving, visits = case.found.status.serving, case.found.visits
    if serving is not None and (serving.problem or serving.front):
        return True
    return visits is not None and visits.failed > visits.count * _FAILED_PART
