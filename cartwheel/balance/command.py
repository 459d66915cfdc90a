"""A balancer that is controlled by a command of the project, run on this machine."""

from __future__ import annotations

from collections.abc import Mapping
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
        _run(command, project, process_env.of_user(known), timeout_seconds, emit, member.name)

    return hook


def _run(
    command: str,
    project: Path,
    environment: Mapping[str, str],
    timeout_seconds: float,
    emit: Emit,
    host: str,
) -> None:
    last = ""

    def tell(line: str) -> None:
        nonlocal last
        last = line.strip() or last
        emit(Event(_STEP, "progress", line, host))

    try:
        ended = programs.run(
            ["sh", "-c", command],
            env=environment,
            cwd=project,
            deadline_seconds=timeout_seconds,
            errors="with-output",
            on_line=tell,
        )
    except programs.LateError:
        raise HostError(
            "balancer",
            f"the balancer's command did not end within {timeout_seconds:g} s",
            host=host,
        ) from None
    if ended.status != 0:
        said = f": {last}" if last else ""
        raise HostError("balancer", f"the balancer's command {ended.how}{said}", host=host)
