"""Tasks for timers: list them, run one now, pause and resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output

_NAME = {"name": "Name of the timer."}


@app_task(quiet=True, name="list")
def list_(scene: Scene, out: Output) -> int:
    """List the timers on each host: next and last runs.

    A timer with `hosts = "one"` is listed on its host. Times are in this machine's time zone.
    """
    from cartwheel.commands import timers
    from cartwheel.fleet.sessions import successes
    from cartwheel.terminal.timers import HEADS, names, rows

    found = timers.listed(scene)
    listed = names(successes(found).values())
    return out.answer_table(found, HEADS, lambda one: rows(one, listed))


@app_task(
    quiet=True,
    help={
        **_NAME,
        "follow": "Show what it prints, and wait for its end; exits with 1 if it fails.",
    },
)
def run(scene: Scene, out: Output, name: str = "", follow: bool = False) -> int:
    """Run the job of a timer now, whether it is due or not.

    It runs on the hosts that have the timer, also while the timer is paused. Without --follow it
    goes on by itself; `fab logs --timer NAME` shows what it printed.
    """
    from cartwheel.commands import timers
    from cartwheel.host.wire.codec import to_json

    checked = timers.checked_name(scene, name)
    several = len(scene.hosts) > 1

    def show(host: str, text: str) -> None:
        out.data(host, text, prefix=f"[{host}] " if several else "")

    found = timers.run(scene, checked, show, follow=follow)
    for host, one in found.items():
        how = ": ".join(filter(None, (one.result, one.detail)))
        out.say(f"[{host}] run {one.number} {how if follow else 'has begun'}")
    out.put(hosts=[{"host": host, **to_json(one)} for host, one in found.items()])
    return 0 if all(one.result in ("done", "running") for one in found.values()) else 1


@app_task(changing=True, help=_NAME)
def pause(scene: Scene, out: Output, name: str = "") -> int:
    """Pause a timer until timer.resume.

    The pause outlives reboots and deploys; `fab timer.list` and `fab status` show it. A job that is
    under way goes on.
    """
    from cartwheel.commands import timers

    answers = timers.pause(scene, timers.checked_name(scene, name))
    return out.answers(answers, lambda one: f"{name} {'' if one.changed else 'was already '}paused")


@app_task(changing=True, help=_NAME)
def resume(scene: Scene, out: Output, name: str = "") -> int:
    """Resume a paused timer; missed runs are not made up."""
    from cartwheel.commands import timers

    answers = timers.resume(scene, timers.checked_name(scene, name))
    return out.answers(answers, lambda one: f"{name} {'resumed' if one.changed else 'not paused'}")
