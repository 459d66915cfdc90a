"""A balancer through a command of the project's, run on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cartwheel.balance.hooks import Hook
from cartwheel.errors import HostError
from cartwheel.events import Emit, Event
from cartwheel.plan.balancing import Member

_STEP = "balancer"
_KILLED_SECONDS = 5.0


def command_hook(command: str, project: Path, app: str, timeout_seconds: float, emit: Emit) -> Hook:
    """Runs `command` by `sh -c` in the project's folder; what it prints is told as progress."""

    def hook(action: str, member: Member) -> None:
        environment = {
            **os.environ,
            "CARTWHEEL_ACTION": action,
            "CARTWHEEL_APP": app,
            "CARTWHEEL_HOST": member.name,
            "CARTWHEEL_NAME": member.server,
            "CARTWHEEL_ADDRESS": member.address,
        }
        _run(command, project, environment, timeout_seconds, emit, member.name)

    return hook


def _run(
    command: str,
    project: Path,
    environment: Mapping[str, str],
    timeout_seconds: float,
    emit: Emit,
    host: str,
) -> None:
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is ours: a host must not stay half-way out
    )
    last = [""]

    def tell() -> None:
        for line in process.stdout or ():
            last[0] = line.strip() or last[0]
            emit(Event(_STEP, "progress", line.rstrip(), host))

    teller = threading.Thread(target=tell, name="balancer's words", daemon=True)
    teller.start()
    try:
        status = process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_KILLED_SECONDS)
        raise HostError(
            "balancer", f"its command did not end within {timeout_seconds:g} s", host=host
        ) from None
    teller.join(_KILLED_SECONDS)
    if status != 0:
        said = f": {last[0]}" if last[0] else ""
        raise HostError("balancer", f"its command ended with {status}{said}", host=host)
