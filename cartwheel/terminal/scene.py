"""What every task has in common: its options, its scene, its output, its exit code.

`app_task` makes a task from a function that needs the settings and usually hosts; `plain_task`
from one that does not. Both add `--json`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartwheel.errors import Exit, UsageError
from cartwheel.fab import FabContext, FleetTask, task
from cartwheel.fab.task import Hosts

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.inventory.choose import Narrowing
    from cartwheel.plan.rollout import RolloutOptions
    from cartwheel.runs.record import Record
    from cartwheel.terminal.show import Output

Body = Callable[..., int | None]

_JSON = {"json": "Print events and the result as JSON, one a line (docs/output.md)."}
ABOUT = {
    "app": "Application, if .cartwheel/apps/ has several.",
    "env": "Environment: .cartwheel/environments/NAME.toml.",
}
_NARROWING = {
    "role": "Only hosts with one of these roles, comma-separated.",
    "limit": "Only hosts whose name or group matches one of these patterns, comma-separated.",
    "exclude": "No hosts whose name or group matches one of these patterns, comma-separated.",
}
_REACHING = {
    **_NARROWING,
    "parallel": "Number of hosts to connect to and work on at a time.",
}
_ROLLOUT = {
    "canary": "Hosts that switch first, alone: a number or 10% (default: fleet.canary).",
    "batch": "Hosts that switch together after that: a number or 25% (default: fleet.batch).",
    "max-failures": "This many hosts may fail; the others go on (default: 0).",
    "keep-going": "Go on with the other hosts, no matter how many fail.",
}
_CHANGING = {
    "message": "Reason: shown to others who wait for the lock, and kept in the history.",
    "wait": "Seconds to wait while another run holds the lock (default 10).",
}
HOOKS = {"skip-hooks": "Run none of the commands under [hooks]."}
# What these options mean to every task that has them (docs/reference/tasks.md).
COMMON: Mapping[str, str] = {**ABOUT, **_REACHING, **_ROLLOUT, **HOOKS, **_CHANGING, **_JSON}
_LONGEST_WAIT_SECONDS = 86400.0
# Any: each option as invoke parsed it: a text, a number or a flag.
Given = Mapping[str, Any]
_DEFAULTS: Given = {
    **dict.fromkeys((*ABOUT, *_REACHING, *_ROLLOUT, "message"), ""),
    "keep-going": False,
    "wait": "10",
    "json": False,
}


def app_task(
    *,
    changing: bool | Callable[[Given], bool] = False,
    about_freeze: bool = False,
    quiet: bool = False,
    help: Mapping[str, str] | None = None,
    hosts: Hosts = "required",
    name: str | None = None,
    json: bool = True,
    any_role: bool = False,
    more_roles: tuple[str, ...] = (),
    rollout: bool = False,
    positional: Iterable[str] = (),
) -> Callable[[Body], FleetTask]:
    """Make `(scene, out, own options) -> exit code` a task with the common options.

    A `changing` task also takes --message and --wait, says after Ctrl-C which release is live, and
    leaves a record of its run (`fab runs.list`); `changing` may be a function of the options.
    A freeze refuses it on the host, unless the task is `about_freeze`.
    A `quiet` task shows progress only on a terminal, or if it takes long. If no host is named,
    the task is for all hosts that run the app or have one of `more_roles`, or with `any_role`
    for all hosts. A `rollout` switches hosts batch by batch.
    """
    common = {
        **ABOUT,
        **(_REACHING if hosts != "none" else {}),
        **(_ROLLOUT if rollout else {}),
        **(_CHANGING if changing else {}),
        **(_JSON if json else {}),
    }

    def decorate(body: Body) -> FleetTask:
        @wraps(body)
        def run(c: FabContext, **options: Any) -> int:
            from cartwheel.terminal.show import Output

            given = {key: options.pop(key.replace("-", "_")) for key in common}
            changes = changing if isinstance(changing, bool) else changing(options)
            with Output(
                c.task,
                as_json=given.get("json", False),
                changing=changes,
                quiet=quiet,
                debug=c.debug,
                program=c.program,
                names=c.names,
                record=_record(c, given["message"]) if changes else None,
            ) as out:
                held: list[Scene] = []

                def act() -> int | None:
                    held.append(
                        scene_of(
                            c, out, given, hosts=hosts, any_role=any_role, more_roles=more_roles
                        )
                    )
                    out.about(held[0])
                    return body(held[0], out, **options)

                code = _to_its_end(act, out)
                if code == Exit.INTERRUPTED and changes and held:
                    _say_what_serves(held[0], out)
            return out.result(code)

        made = _as_task(
            run,
            body,
            {**(help or {}), **common},
            hosts=hosts,
            name=name,
            positional=positional,
        )
        made.changing = bool(changing) and not about_freeze
        return made

    return decorate


def _record(c: FabContext, message: str) -> Record:
    """A run's record, with what is known before the settings are read: they may be wrong."""
    from cartwheel.places import runs_dir
    from cartwheel.runs.record import Record

    about = {"word": c.task, "project": str(c.project), "hosts": c.hosts, "message": message}
    return Record(runs_dir(), about)


def plain_task(
    *,
    help: Mapping[str, str] | None = None,
    hosts: Hosts = "required",
    name: str | None = None,
    json: bool = True,
    positional: Iterable[str] = (),
) -> Callable[[Body], FleetTask]:
    """Make `(c, out, own options) -> exit code` a task."""
    common = _JSON if json else {}

    def decorate(body: Body) -> FleetTask:
        @wraps(body)
        def run(c: FabContext, **options: Any) -> int:
            from cartwheel.terminal.show import Output

            as_json = bool(options.pop("json", False))
            with Output(
                c.task, as_json=as_json, debug=c.debug, program=c.program, names=c.names
            ) as out:
                code = _to_its_end(lambda: body(c, out, **options), out)
            return out.result(code)

        own = {**(help or {}), **common}
        return _as_task(run, body, own, hosts=hosts, name=name, positional=positional)

    return decorate


def _as_task(
    run: Callable[..., int], body: Body, help: Mapping[str, str], **named: Any
) -> FleetTask:
    """A task with the options of `body`, after its first two arguments, and the common ones."""
    own = list(inspect.signature(body).parameters.values())[2:]
    kind = inspect.Parameter.KEYWORD_ONLY
    taken = {one.name for one in own}
    options = [one.replace(kind=kind) for one in own] + [
        inspect.Parameter(name.replace("-", "_"), kind, default=default)
        for name, default in _DEFAULTS.items()
        if name in help and name not in taken
    ]
    context = inspect.Parameter("c", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([context, *options])
    run.__signature__ = signature  # type: ignore[attr-defined]  # invoke reads the options from it
    made = task(help=help, **named)(run)
    made.values = _values
    return made


def _values(project: Path, option: str, words: Sequence[str]) -> list[str]:
    from cartwheel.commands.option_values import values

    return values(project, option, words)


def _to_its_end(act: Callable[[], int | None], out: Output) -> int:
    """Run the task; every failure becomes text and an exit code."""
    try:
        return act() or 0
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except Exception as error:
        return out.failed(error)


def _say_what_serves(scene: Scene, out: Output) -> None:
    """After Ctrl-C, ask the hosts that the run had begun to change which release is live, once
    they have recovered."""
    from cartwheel.commands import ask
    from cartwheel.commands.scene import for_hosts

    touched = out.touched()
    if not touched:
        out.say("stopped; no host was changed")
        return
    try:
        found = ask.releases(for_hosts(scene, touched))
    except Exception as error:
        out.failed(error)
        return
    out.answer_table(found, ("LIVE",), lambda one: [(one.current or "nothing",)])


def scene_of(
    c: FabContext,
    out: Output,
    given: Given,
    *,
    hosts: Hosts = "required",
    any_role: bool = False,
    more_roles: tuple[str, ...] = (),
) -> Scene:
    """Load the settings and find the hosts. Raises UsageError before anything connects."""
    from cartwheel.commands.scene import make_scene

    scene = make_scene(
        c.project,
        app=given["app"] or None,
        env=given["env"] or None,
        hosts=c.hosts,
        ssh_options=c.ssh_options,
        emit=out.emit,
        message=given.get("message", ""),
        lock_wait_seconds=_seconds(given.get("wait", "0")),
        narrowing=_narrowing(given),
        needs_hosts=hosts != "none",
        any_role=any_role,
        more_roles=more_roles,
        rollout=_rollout(given),
        parallel=_parallel(given.get("parallel", "")),
        program=c.program,
        names=c.names,
    )
    if hosts == "required":
        c.require_hosts(scene.hosts)
    return scene


def with_hooks(scene: Scene, wanted: bool) -> Scene:
    """The scene, with or without hooks."""
    from cartwheel.commands.scene import without_hooks

    return scene if wanted else without_hooks(scene)


def _narrowing(given: Given) -> Narrowing:
    from cartwheel.inventory.choose import Narrowing

    said = {option: names(option, given.get(option, "")) for option in _NARROWING}
    return Narrowing(roles=said["role"], limit=said["limit"], exclude=said["exclude"])


def _rollout(given: Given) -> RolloutOptions:
    """The options that override the settings of [fleet]."""
    said: RolloutOptions = {}
    if given.get("canary"):
        said["canary"] = _size("canary", given["canary"])
    if given.get("batch"):
        said["batch"] = _size("batch", given["batch"])
    if given.get("max-failures"):
        said["max_failures"] = number("max-failures", given["max-failures"])
    if given.get("keep-going"):
        said["max_failures"] = sys.maxsize
    return said


def _parallel(text: str) -> int | None:
    return number("parallel", text, least=1) if text else None


def _size(option: str, text: str) -> str:
    from cartwheel.plan.rollout import SIZE

    if not SIZE.match(text) or (option == "batch" and not text.strip("0%")):
        raise UsageError(
            "usage", f"--{option} takes a number of hosts or a percentage, not {text!r}"
        )
    return text


def names(option: str, text: str) -> tuple[str, ...]:
    """The comma-separated names of an option. Raises UsageError if there are none: an empty
    variable must not select all hosts."""
    found = tuple(one.strip() for one in text.split(",") if one.strip())
    if text and not found:
        raise UsageError("no-hosts", f"--{option} was given, but it names nothing")
    return found


def _seconds(text: str) -> float:
    """How long to wait for a lock. Every wait has a limit. Raises UsageError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WAIT_SECONDS:
        limits = f"from 0 to {_LONGEST_WAIT_SECONDS:.0f}"
        raise UsageError("usage", f"--wait takes seconds, {limits}, not {text!r}")
    return seconds


def number(option: str, text: str, least: int = 0) -> int:
    """The whole number of an option. Raises UsageError."""
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        at_least = f" of at least {least}" if least else ""
        raise UsageError("usage", f"--{option} takes a number{at_least}, not {text!r}")
    return int(text)
