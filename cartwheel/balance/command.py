"""A balancer that is controlled by a command of the project, run on this machine."""

from __future__ import annotations

from pathlib import Path

from cartwheel import process_env, programs
from cartwheel.balance.hooks import Hook
from cartwheel.errors import HostError
from cartwheel.events import Emit, Event
from cartwheel.plan.balancing import Member

_STEP = "balancer"


def command_hook(command: str, project: Path, app: str, timeout_seconds: float, emit: Emit) -> Hook:
    """Runs `command` by `sh -c` in the project's folder; its output is reported as progress."""

    def hook(action: str, member: Member) -> None:
        known = {
            "CARTWHEEL_ACTION": action,
            "CARTWHEEL_APP": app,
            "CARTWHEEL_HOST": member.name,
            "CARTWHEEL_NAME": member.server,
            "CARTWHEEL_ADDRESS": member.address,
        }
        try:
            ended = programs.run(
                ["sh", "-c", command],
                env=process_env.of_user(known),
                cwd=project,
                deadline_seconds=timeout_seconds,
                errors="with-output",
                on_line=lambda line: emit(Event(_STEP, "progress", line, member.name)),
            )
        except programs.LateError:
            why = f"the balancer's command did not end within {timeout_seconds:g} s"
            raise HostError("balancer", why, host=member.name) from None
        if ended.status != 0:
            why = ": ".join(filter(None, (f"the balancer's command {ended.how}", ended.tail(1))))
            raise HostError("balancer", why, host=member.name)

    return hook
