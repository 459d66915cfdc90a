"""Words that show; they change nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ._scene import number, word

if TYPE_CHECKING:
    from cartwheel.run.scene import Scene

    from ._show import Output

_MEGABYTE_BITS = 20


@word(
    changing=lambda options: bool(options["finish"]),
    quiet=True,
    help={"finish": "Bring hosts forward that went back while others confirmed."},
)
def status(scene: Scene, out: Output, finish: bool = False) -> int:
    """What each host serves: since when, health, workers, memory.

    Times are of this machine's zone, with how long ago that is; memory is of all processes
    of the release together; restarts are those that nobody asked for.
    """
    from cartwheel.fleet.sessions import failures
    from cartwheel.fleet.truth import left_behind
    from cartwheel.run import ask

    found = ask.status(scene)
    behind = left_behind(found)
    if finish and behind:
        from cartwheel.run.rollback import finish as run

        code = out.report(run(scene, behind))
        unseen = list(failures(found).values())
        return max(code, out.failed(ExceptionGroup("hosts", unseen)) if unseen else 0)
    code = out.answer_table(
        found,
        ("RELEASE", "VERSION", "SINCE", "HEALTH", "WORKERS", "MEMORY", "RESTARTS", "NOTES"),
        lambda one: [_status_row(one, time.time())],
    )
    served = {one["release"] for one in found.values() if isinstance(one, dict)}
    for release in sorted(set(behind.values())):
        out.say(_behind_text([host for host in behind if behind[host] == release], release))
    if len(served) > 1 and not behind:
        out.say("The hosts serve different releases; `fab deploy` brings them to one.")
    return code


def _behind_text(hosts: list[str], release: str) -> str:
    from cartwheel.telling import hosts_text

    went = "it went back" if len(hosts) == 1 else "they went back"
    return (
        f"{hosts_text(hosts)}: behind, as {went} from {release}, which others serve;"
        " `fab status --finish` or `fab deploy` finishes it."
    )


def _status_row(one: dict[str, Any], now: float) -> tuple[str, ...]:
    notes = "; ".join(_status_notes(one))
    if one["release"] is None:
        return ("nothing", "-", "-", "not deployed", "-", "-", "-", notes)
    health = "healthy" if one["healthy"] else ("stopped" if one["stopped"] else "UNHEALTHY")
    memory = f"{one['memory_bytes'] >> _MEGABYTE_BITS} MB" if one["memory_bytes"] else "-"
    return (
        one["release"],
        one["version"],
        since_text(one["age_seconds"], now),
        health,
        str(one["workers"]),
        memory,
        str(one["restarts"]),
        notes,
    )


def since_text(age_seconds: float | None, now: float) -> str:
    """A moment in the operator's zone, whatever the host's clock says, and its age."""
    from ._format import age_text, local_time

    if age_seconds is None:
        return "-"
    return f"{local_time(now - age_seconds)} ({age_text(age_seconds)})"


def _status_notes(one: dict[str, Any]) -> list[str]:
    notes = []
    if not one["set_up"]:
        notes.append("not set up")
    if one["pending"]:
        notes.append(f"the switch to {one['pending']['to']} is not confirmed")
    if one["lock"]:
        notes.append(f"locked by {one['lock'].get('owner')}")
    if one["freeze"]:
        from .lock import freeze_text

        notes.append(freeze_text(one["freeze"]))
    if one["leftovers"]:
        notes.append(f"leftovers: {', '.join(one['leftovers'])}")
    if one["stopped"]:
        notes.append(f"stopped by {one['stopped']['who']} since {one['stopped']['since']}")
    if one["release"] is not None and one["also_running"]:
        notes.append(f"also running: {', '.join(one['also_running'])}")
    if one["release"] is not None and not one["healthy"] and not one["stopped"]:
        notes.append(one["problem"])
    return notes


@word(quiet=True)
def releases(scene: Scene, out: Output) -> int:
    """The releases on each host, oldest first."""
    from cartwheel.run import ask

    from ._format import utc_to_local

    def rows(one: dict[str, Any]) -> list[tuple[str, ...]]:
        return [
            (
                manifest["release"],
                manifest["version"] or "",
                utc_to_local(manifest["created"] or ""),
                manifest["who"] or "",
                _place(manifest["release"], one),
            )
            for manifest in one["releases"]
        ]

    return out.answer_table(ask.releases(scene), ("RELEASE", "VERSION", "MADE", "BY", ""), rows)


def _place(release: str, one: dict[str, Any]) -> str:
    if release == one["current"]:
        return "serves"
    return "rollback goes here" if release == one["rollback"] else ""


@word(quiet=True, help={"lines": "How many entries (default 20)."})
def history(scene: Scene, out: Output, lines: str = "20") -> int:
    """What was done on each host: when, by whom, how it ended."""
    from cartwheel.run import ask

    from ._format import local_time

    def rows(one: dict[str, Any]) -> list[tuple[str, ...]]:
        return [
            (
                str(entry.get("seq", "?")),
                local_time(entry.get("at")),
                str(entry.get("kind", "?")),
                str(entry.get("release") or ""),
                str(entry.get("result", "?")),
                str(entry.get("who", "")),
                str(entry.get("reason") or entry.get("message") or ""),
            )
            for entry in one["entries"]
        ]

    heads = ("SEQ", "AT", "WHAT", "RELEASE", "RESULT", "BY", "WHY")
    return out.answer_table(ask.history(scene, number("lines", lines)), heads, rows)


@word(
    quiet=True,
    help={"lines": "How many lines of each log (default 50).", "follow": "Go on until Ctrl-C."},
)
def logs(scene: Scene, out: Output, lines: str = "50", follow: bool = False) -> int:
    """The app's journal and nginx's logs of its site."""
    from cartwheel.run import ask

    def show(host: str, source: str, text: str) -> None:
        out.data(host, text, prefix=f"[{host}] {source}: ", source=source)

    ask.logs(scene, lines=number("lines", lines), follow=follow, on_line=show)
    return 0


@word(
    changing=lambda options: bool(options["fix"]),
    quiet=True,
    help={"fix": "Put in order what a fault left."},
)
def doctor(scene: Scene, out: Output, fix: bool = False) -> int:
    """Check all that a deploy needs, from Python to nginx."""
    from dataclasses import asdict

    from cartwheel.run.doctor import doctor as run

    findings = run(scene, fix=fix)
    out.table(
        [(f.host, "ok" if f.ok else "PROBLEM", f.what, f.detail) for f in findings],
        ("HOST", "", "WHAT", "DETAIL"),
    )
    out.put(findings=[asdict(finding) for finding in findings])
    return 0 if all(finding.ok for finding in findings) else 1
