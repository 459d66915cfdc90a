"""A monitor on a host of yours, which watches all others and tells your messengers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(changing=True, any_role=True)
def install(scene: Scene, out: Output) -> int:
    """Put the monitor on a host; let it watch this project.

    -H names the monitor's host; without it, the host with the role `monitor`. All hosts of the
    settings and inventories are watched. It gets a key by which it may only look. Run it again
    after hosts, messengers or limits have changed.
    """
    from cartwheel.commands import monitor
    from cartwheel.terminal.monitor import installed_lines

    found = monitor.install(scene)
    code = out.report(found.report)
    if code:
        return code
    for line in installed_lines(found):
        out.say(line)
    out.put(monitor=found.host, tried=found.tried, page=found.page)
    failed = list(found.refused.values())
    if failed:
        out.failed(ExceptionGroup("hosts", failed))
    return 4 if failed or any(found.tried.values()) else 0


@app_task(changing=True, any_role=True, help={"yes": "Do not ask for confirmation."})
def uninstall(scene: Scene, out: Output, yes: bool = False) -> int:
    """Let the monitor watch this project no more.

    No host lets it look for this project any more, and its history goes. With its last project the
    monitor itself goes.
    """
    from cartwheel.commands import monitor

    name = scene.settings.slug
    if not yes and not out.confirmed(f"Watch {name} no more, and forget its incidents?", name):
        out.say("Nothing was changed.")
        return 1
    found = monitor.uninstall(scene)
    gone = "the monitor is gone" if found.is_gone else "it still watches other projects"
    out.say(f"[{found.host}] {scene.settings.slug} is not watched any more; {gone}")
    if found.left:
        out.failed(ExceptionGroup("hosts", list(found.left.values())))
    return 4 if found.left else 0


@app_task(quiet=True, any_role=True)
def status(scene: Scene, out: Output) -> int:
    """Show what is watched, and what is wrong.

    Exits with 1 if anything is wrong, or a host of the project is not watched.
    """
    from cartwheel.commands import monitor
    from cartwheel.terminal.monitor import HEADS, silence_lines, status_rows, trouble_lines

    found = monitor.status(scene)
    out.table(status_rows(found), HEADS)
    troubles = list(trouble_lines(found))
    for line in (*troubles, *silence_lines(found)):
        out.say(line)
    out.put(status=found, troubles=troubles)
    return 1 if troubles else 0


@app_task(quiet=True, any_role=True)
def test(scene: Scene, out: Output) -> int:
    """Let the monitor send a test message to every messenger."""
    from cartwheel.commands import monitor

    found = monitor.test(scene)
    out.table([(name, problem or "told") for name, problem in found.items()], ("MESSENGER", ""))
    out.put(problems=found)
    return 1 if any(found.values()) else 0


@app_task(
    quiet=True,
    any_role=True,
    help={
        "for": "How long: 30m, 2h, 1d; 0 ends a silence.",
        "message": "Why; shown to others.",
        "everything": "About all that the monitor watches, not this app alone.",
    },
)
def silence(
    scene: Scene, out: Output, for_: str = "", message: str = "", everything: bool = False
) -> int:
    """Tell nobody for a while, and say why."""
    from dataclasses import replace

    from cartwheel.commands import monitor
    from cartwheel.commands.logs import ago
    from cartwheel.errors import UsageError
    from cartwheel.terminal.format import minute

    if not for_:
        raise UsageError("usage", "--for is missing", hint="For example `--for 2h`.")
    seconds = 0.0 if for_ == "0" else ago(for_)
    if seconds and not message:
        raise UsageError("usage", "--message is missing", hint="It tells others why it is quiet.")
    some = replace(scene, operator=replace(scene.operator, message=message))
    found = monitor.silence(some, seconds, everything=everything)
    until = found.get("until")
    out.say(f"quiet until {minute(until)}: {message}" if until else "the silence has ended")
    out.put(silence=found)
    return 0
