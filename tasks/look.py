"""Words that show; they change nothing."""

from __future__ import annotations

import time
from typing import Any

from cartwheel.errors import UsageError
from cartwheel.fab import FabContext, task

from . import _show
from ._scene import COMMON, scene_of


@task(help=COMMON)
def status(c: FabContext, app: str = "", env: str = "") -> int:
    """What each host serves: release, since when, health, workers, memory, restarts."""
    from cartwheel.run import ask

    return _show.answer_table(
        ask.status(scene_of(c, app, env)),
        ("RELEASE", "VERSION", "SINCE", "HEALTH", "WORKERS", "MEMORY", "RESTARTS", "NOTES"),
        _status_row,
    )


def _status_row(one: dict[str, Any]) -> list[tuple[str, ...]]:
    notes = []
    if not one["set_up"]:
        notes.append("not set up")
    if one["pending"]:
        notes.append(f"the switch to {one['pending']['to']} is not confirmed")
    if one["lock"]:
        notes.append(f"locked by {one['lock'].get('owner')}")
    if one["leftovers"]:
        notes.append(f"leftovers: {', '.join(one['leftovers'])}")
    if one["stopped"]:
        notes.append(f"stopped by {one['stopped']['who']} since {one['stopped']['since']}")
    if one["release"] is None:
        return [("-", "-", "-", "not deployed", "-", "-", "-", "; ".join(notes))]
    if one["also_running"]:
        notes.append(f"also running: {', '.join(one['also_running'])}")
    health = "healthy" if one["healthy"] else ("stopped" if one["stopped"] else "UNHEALTHY")
    if not one["healthy"] and not one["stopped"]:
        notes.append(one["problem"])
    memory = f"{one['memory_bytes'] >> 20} MB" if one["memory_bytes"] else "-"
    row = (one["release"], one["version"], one["since"] or "-", health, str(one["workers"]))
    return [(*row, memory, str(one["restarts"]), "; ".join(notes))]


@task(help=COMMON)
def releases(c: FabContext, app: str = "", env: str = "") -> int:
    """The releases on each host, oldest first."""
    from cartwheel.run import ask

    def rows(one: dict[str, Any]) -> list[tuple[str, ...]]:
        return [
            (
                manifest["release"],
                manifest["version"] or "",
                manifest["created"] or "",
                manifest["who"] or "",
                _place(manifest["release"], one),
            )
            for manifest in one["releases"]
        ]

    heads = ("RELEASE", "VERSION", "MADE", "BY", "")
    return _show.answer_table(ask.releases(scene_of(c, app, env)), heads, rows)


def _place(release: str, one: dict[str, Any]) -> str:
    if release == one["current"]:
        return "serves"
    return "rollback goes here" if release == one["rollback"] else ""


@task(help={**COMMON, "lines": "How many entries."})
def history(c: FabContext, app: str = "", env: str = "", lines: str = "20") -> int:
    """What was done on each host, when, by whom, and how it ended."""
    from cartwheel.run import ask

    def rows(one: dict[str, Any]) -> list[tuple[str, ...]]:
        return [
            (
                str(entry.get("seq", "?")),
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.get("at", 0))),
                str(entry.get("kind", "?")),
                str(entry.get("release", "")),
                str(entry.get("result", "?")),
                str(entry.get("who", "")),
                str(entry.get("reason") or entry.get("message") or ""),
            )
            for entry in one["entries"]
        ]

    heads = ("SEQ", "AT", "WHAT", "RELEASE", "RESULT", "BY", "WHY")
    scene = scene_of(c, app, env)
    return _show.answer_table(ask.history(scene, _count(lines)), heads, rows)


@task(help={**COMMON, "lines": "How many lines of each log.", "follow": "Go on until Ctrl-C."})
def logs(
    c: FabContext, app: str = "", env: str = "", lines: str = "50", follow: bool = False
) -> None:
    """The app's journal and nginx's logs of its site."""
    from cartwheel.run import ask

    def show(host: str, source: str, text: str) -> None:
        print(f"[{host}] {source}: {text}", flush=True)

    ask.logs(scene_of(c, app, env), lines=_count(lines), follow=follow, on_line=show)


def _count(text: str) -> int:
    if not text.isdigit():
        raise UsageError("usage", f"--lines takes a number, not {text!r}")
    return int(text)


@task(help={**COMMON, "fix": "Put in order what a fault left."})
def doctor(c: FabContext, app: str = "", env: str = "", fix: bool = False) -> int:
    """Check all that a deploy needs: Python, disk, sudo, clock, ports, mirror, nginx."""
    from cartwheel.run.doctor import doctor as run

    findings = run(scene_of(c, app, env), fix=fix)
    _show.table(
        [(f.host, "ok" if f.ok else "PROBLEM", f.what, f.detail) for f in findings],
        ("HOST", "", "WHAT", "DETAIL"),
    )
    return 0 if all(finding.ok for finding in findings) else 1
