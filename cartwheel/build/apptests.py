"""Runs the application's own tests on the operator's machine, with the locked packages."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.build import store, tool
from cartwheel.build.explain import explain_uv
from cartwheel.build.index import uv_arguments
from cartwheel.build.lock import lock_for
from cartwheel.build.order import Order
from cartwheel.build.products import Artifact, Lock, operator_platform
from cartwheel.build.source import Source, copy_source, find_source
from cartwheel.build.uv import uv_program, uv_variables
from cartwheel.errors import BuildError
from cartwheel.events import Event
from cartwheel.process_env import of_user

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings

STEP = "test"
# Django says more after it.
_COUNTED = re.compile(r"^Ran \d+ tests? in .+$", re.MULTILINE)
_LAST_LINES = 8
DEFAULT_COMMAND = "python -m pytest -q"
INSTALL_SECONDS = 600.0
# The tests get the user's environment, except variables that would add packages to the lock's.
_OTHER_PYTHONS = ("PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX")


def run_app_tests(order: Order, artifact: Artifact) -> bool:
    """Run the application's tests; True when they pass or passed before with the same inputs.

    False when there are none or the settings skip them. Raises BuildError("tests-failed") with
    the end of the output, and the errors of locking.
    """
    started = time.monotonic()
    settings, state, emit = order.settings, order.state, order.emit
    source = find_source(settings.app.source, order.project)
    command = test_command(settings, source)
    if settings.tests.skip or not command:
        emit(Event(STEP, "note", _nothing_to_run(settings, source)))
        return False
    platform = operator_platform()
    beside = lock_for(order, artifact, platform, lock_for(order, artifact, platform))
    key = store.key_of(
        artifact.source_digest,
        artifact.wheel_sha256,
        beside.sha256,
        [one.wheel_sha256 for one in beside.wheels],
        command,
        settings.tests.requirements,
        sys.version,
    )
    passed = state / "tests" / f"{key}.passed"
    with store.exclusive(state, STEP, emit):
        known = passed.is_file()
        if not known:
            emit(Event(STEP, "start", command))
            with store.scratch(state) as folder:
                last = _run(order, source, artifact, beside, command, folder)
            store.write_text(passed, last + "\n")
    detail = passed.read_text(encoding="utf-8").strip()
    seconds = time.monotonic() - started
    emit(Event(STEP, "unchanged" if known else "done", detail, seconds=seconds))
    return True


def _nothing_to_run(settings: Settings, source: Source) -> str:
    if settings.tests.skip:
        return "skipped by the settings"
    if not source.is_folder:
        return "none run: this source has none"
    return "none found: there is no folder `tests` or `test`, no test_*.py, and no tests.command"


def test_command(settings: Settings, source: Source) -> str:
    """The command to run, empty when there is nothing to test."""
    if not source.is_folder:
        return ""
    if settings.tests.command:
        return settings.tests.command
    has_tests = any((source.path / name).is_dir() for name in ("tests", "test"))
    return DEFAULT_COMMAND if has_tests or any(source.path.glob("test_*.py")) else ""


def _run(
    order: Order, source: Source, artifact: Artifact, lock: Lock, command: str, folder: Path
) -> str:
    """Make the environment, run the command in a copy of the source; how it ended."""
    venv = folder / "venv"
    _install(order, artifact, lock, venv, folder)
    env = of_user({"VIRTUAL_ENV": str(venv), "PYTHONDONTWRITEBYTECODE": "1"})
    env["PATH"] = f"{venv / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    for name in _OTHER_PYTHONS:
        env.pop(name, None)
    # Below a folder of its own also if the top of its repository is further up.
    copy = copy_source(source, (folder / "above").joinpath(*source.path.parts[1:]))
    try:
        done = tool.run_tool(
            ["/bin/sh", "-c", command],
            env=env,
            cwd=copy,
            deadline_seconds=order.settings.tests.timeout_seconds,
            emit=order.emit,
            step=STEP,
        )
    except BuildError as error:
        raise BuildError(
            "tests-failed",
            f"`{command}` did not end within {order.settings.tests.timeout_seconds:.0f} s",
            detail=error.detail,
        ) from error
    if done.status != 0:
        why = done.how if done.status < 0 else f"exit code {done.status}"
        raise BuildError("tests-failed", f"`{command}`: {why}", detail=done.tail())
    return outcome(done.tail(_LAST_LINES))


def outcome(said: str) -> str:
    """How the tests ended, in one line: what unittest has counted, else the last line."""
    counted = _COUNTED.findall(said)
    lines = counted or said.splitlines() or ["passed"]
    return str(lines[-1])


def _install(order: Order, artifact: Artifact, lock: Lock, venv: Path, folder: Path) -> None:
    access = order.access
    locked = folder / "lock.txt"
    locked.write_text(lock.text, encoding="utf-8")
    wheels = [str(one.wheel) for one in (*lock.wheels, artifact)]
    uv = uv_program()
    install = [uv, "pip", "install", "--python", str(venv / "bin" / "python")]
    install += uv_arguments(access)
    steps = [
        [uv, "venv", "--python", sys.executable, str(venv)],
        [*install, "--require-hashes", "--no-deps", "-r", str(locked)],
        [*install, "--no-deps", *wheels],
    ]
    for argv in steps:
        done = tool.run_tool(
            argv,
            env=uv_variables(access),
            cwd=folder,
            deadline_seconds=INSTALL_SECONDS,
            emit=order.emit,
            step=STEP,
        )
        if done.status != 0:
            raise explain_uv(done, access)
