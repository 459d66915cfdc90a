"""Words about the templates of gunicorn, systemd, nginx and logrotate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.fab import FabContext
from cartwheel.terminal.scene import plain_word

if TYPE_CHECKING:
    from cartwheel.terminal.show import Output


@plain_word(hosts="none", name="list")
def list_templates(c: FabContext, out: Output) -> int:
    """Cartwheel's templates, and which are replaced here."""
    from cartwheel.render.overrides import templates

    def state(override: bool, stale: bool) -> str:
        return "" if not override else "replaced, of an older one" if stale else "replaced"

    found = [
        (one.name, state(one.override is not None, one.is_stale)) for one in templates(c.project)
    ]
    out.table(found, ("TEMPLATE", ""))
    out.put(templates=[{"name": name, "state": state} for name, state in found])
    return 0


@plain_word(hosts="none", positional=["template"], help={"template": "Its name."})
def eject(c: FabContext, out: Output, template: str) -> int:
    """Copy a template into templates/ here, to change it there."""
    from cartwheel.render.overrides import eject as run

    path = run(c.project, template)
    out.say(f"wrote {path.relative_to(c.project)}; it replaces Cartwheel's own from now on")
    return 0


@plain_word(hosts="none", positional=["template"], help={"template": "Its name."})
def diff(c: FabContext, out: Output, template: str) -> int:
    """How a template here differs from Cartwheel's own."""
    from cartwheel.render.overrides import diff as run

    found = run(c.project, template)
    out.say(found.rstrip() or "no difference")
    out.put(diff=found)
    return 0


@plain_word(hosts="none", positional=["template"], help={"template": "Its name."})
def keep(c: FabContext, out: Output, template: str) -> int:
    """Say that a template here fits Cartwheel's own of today."""
    from cartwheel.render.overrides import keep as run

    run(c.project, template)
    out.say(f"templates/{template} fits Cartwheel's own of today")
    return 0
