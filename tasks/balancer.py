"""Tasks for the balancer in front of the hosts (docs/balancers.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cartwheel.commands.scene import Scene
    from cartwheel.errors import CartwheelError
    from cartwheel.terminal.show import Output


@app_task(changing=True, any_role=True)
def setup(scene: Scene, out: Output) -> int:
    """Prepare the balancers; writes nginx's site there.

    Run it again after hosts or weights have changed. Hosts that are out stay out.
    """
    from cartwheel.commands.balancing import balancers
    from cartwheel.commands.scene import for_hosts
    from cartwheel.commands.setup import setup as run

    chosen = for_hosts(scene, tuple(host.name for host in balancers(scene)))
    return out.answers(run(chosen), lambda one: "prepared" if one.changes else "nothing to do")


@app_task(quiet=True)
def status(scene: Scene, out: Output) -> int:
    """Show which hosts are in or out, and who took them out.

    Exits with 1 if a balancer does not answer, does not know a host, has no host in, or does not
    serve HTTPS well.
    """
    from cartwheel.commands import fronts
    from cartwheel.commands.balancing import states

    found, problems = states(scene)
    secure = fronts.judged(scene)
    problems += [one for one in fronts.problems(secure) if one.host not in _named(problems)]
    words = {True: "in", False: "out", None: "unknown to it"}
    rows = [
        (one.balancer, one.host, words[one.is_in], one.by or "-", one.who or "-", one.since or "-")
        for one in found
    ]
    out.table(rows, ("BALANCER", "HOST", "IS", "FOR", "BY", "SINCE"))
    for line in fronts.lines(secure):
        out.say(line)
    out.put(
        https={host: [one.fields for one in findings] for host, findings in secure.items()},
        hosts=[
            {
                "balancer": one.balancer,
                "host": one.host,
                "is_in": one.is_in,
                "for": one.by,
                "by": one.who,
                "since": one.since,
            }
            for one in found
        ],
    )
    return out.failed(ExceptionGroup("balancers", problems)) if problems else 0


@app_task(changing=True)
def out(scene: Scene, out: Output) -> int:
    """Take hosts out of the balancer, and drain them.

    They stay out, across deploys and reboots, until `fab balancer.back`.
    """
    from cartwheel.commands.balancing import out as run

    return _told(out, run(scene), "out")


@app_task(changing=True)
def back(scene: Scene, out: Output) -> int:
    """Put hosts back, no matter who took them out."""
    from cartwheel.commands.balancing import back as run

    return _told(out, run(scene), "in")


def _named(problems: list[CartwheelError]) -> set[str | None]:
    """The balancers and hosts that a problem is about."""
    return {one.host for one in problems}


def _told(out: Output, found: Mapping[str, CartwheelError | None], word: str) -> int:
    return out.answers({host: error or {} for host, error in found.items()}, lambda _one: word)
