"""The units of processes besides web and of jobs, and the own variables of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cartwheel.host.layout import RUNNING_OUTPUT, Layout
from cartwheel.host.system import envfile
from cartwheel.host.wire.instance import WEB
from cartwheel.settings import command_words, stop_signals
from cartwheel.settings.toml_tables import Process, Timer

from .templates import Templates

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings


@dataclass(frozen=True)
class Sandbox:
    """What the sandbox of a process leaves open."""

    allow: tuple[str, ...]
    read_write_paths: tuple[str, ...]
    unit: tuple[str, ...]
    memory_max: str | None


def sandbox(settings: Settings, name: str) -> Sandbox:
    """The restrictions of the app, loosened for one process."""
    return _loosened(settings, settings.processes.get(name) or Process())


def _loosened(settings: Settings, one: Process | Timer) -> Sandbox:
    every, own = settings.hardening, one.hardening
    return Sandbox(
        allow=(*every.allow, *own.allow),
        read_write_paths=(*every.read_write_paths, *every.folders, *own.read_write_paths),
        unit=(*every.unit, *own.unit),
        memory_max=one.memory_max or every.memory_max,
    )


def own_env(settings: Settings, name: str) -> dict[str, str]:
    """The variables of one process, in addition to the app's."""
    process = settings.processes.get(name)
    return process.env if process else {}


# Any: the names of a template have values of all kinds.
def process_files(
    settings: Settings, at: Layout, templates: Templates, values: Mapping[str, Any]
) -> dict[str, str]:
    """The units of all processes besides web, and the files with the variables of each process, by
    name. Raises UsageError("template")."""
    files: dict[str, str] = {}
    for name, process in settings.processes.items():
        if process.env:
            files[f"{name}.env"] = envfile.dump(process.env)
        if name != WEB:
            of_process = {**values, **_values(settings, at, name, process)}
            files[f"{name}@.service"] = templates.render("process.service.j2", of_process)
    return files


def _values(settings: Settings, at: Layout, name: str, process: Process) -> dict[str, object]:
    words = command_words.parse(process.command or "")
    is_alone = process.exclusive or not process.overlap
    return {
        "process": name,
        "words": command_words.for_systemd(words),
        "lock": str(at.locks / name) if is_alone else None,
        "stop_signal": process.stop_signal or stop_signals.of(words),
        "stop_seconds": math.ceil(process.stop_seconds),
        "sandbox": sandbox(settings, name),
        "own_env": process.env,
        "own_env_file": f"{name}.env",
    }


# Any: as above.
def job_files(
    settings: Settings, at: Layout, templates: Templates, values: Mapping[str, Any]
) -> dict[str, str]:
    """The units of the jobs of all timers, and the files with the variables of each, by name.
    Raises UsageError("template")."""
    files: dict[str, str] = {}
    for name, timer in settings.timers.items():
        of_job = {
            "timer": name,
            "words": command_words.for_systemd(command_words.parse(timer.command)),
            "dispatcher": str(at.lib / "timer"),
            "output": str(at.outputs / name / RUNNING_OUTPUT),
            "timeout_seconds": math.ceil(timer.timeout_seconds),
            "sandbox": _loosened(settings, timer),
            "own_env": timer.env,
            "own_env_file": f"job.{name}.env",
        }
        files[at.job_source(name, "").name] = templates.render(
            "job.service.j2", {**values, **of_job}
        )
        if timer.env:
            files[f"job.{name}.env"] = envfile.dump(timer.env)
    return files
