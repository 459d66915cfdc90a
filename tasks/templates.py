"""Tasks for the templates of gunicorn, systemd, the web server and logrotate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.fab import FabContext
from cartwheel.terminal.scene import plain_task

if TYPE_CHECKING:
    from cartwheel.terminal.show import Output


@plain_task(hosts="none", name="list")
def list_templates(c: FabContext, out: Output) -> int:
    """List the built-in templates, and those replaced here."""
    from cartwheel.render.overrides import templates

    def state(override: bool, stale: bool) -> str:
        return "" if not override else "replaced, out of date" if stale else "replaced"

    found = [
        (one.name, state(one.override is not None, one.is_stale)) for one in templates(c.project)
    ]
    out.table(found, ("TEMPLATE", ""))
    out.put(templates=[{"name": name, "state": state} for name, state in found])
    return 0


@plain_task(hosts="none", positional=["template"], help={"template": "Its name."})
def eject(c: FabContext, out: Output, template: str) -> int:
    """Copy a template into this project, to change it."""
    from cartwheel.render.overrides import eject as run

    path = run(c.project, template)
    out.say(f"wrote {path.relative_to(c.project)}; it now replaces the built-in template")
    return 0


@plain_task(hosts="none", positional=["template"], help={"template": "Its name."})
def diff(c: FabContext, out: Output, template: str) -> int:
    """Compare a template here with the built-in one."""
    from cartwheel.render.overrides import diff as run

    found = run(c.project, template)
    out.say(found.rstrip() or "no difference")
    out.put(diff=found)
    return 0


@plain_task(hosts="none", positional=["template"], help={"template": "Its name."})
def keep(c: FabContext, out: Output, template: str) -> int:
    """Say that a template is as new as the built-in one."""
    from cartwheel.render.overrides import keep as run

    run(c.project, template)
    out.say(f"{template} is up to date with the built-in template")
    return 0
