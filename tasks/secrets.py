"""Tasks for secrets: none of them shows a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.errors import Exit, UsageError
from cartwheel.fab import FabContext
from cartwheel.terminal.scene import ABOUT, plain_task

if TYPE_CHECKING:
    from cartwheel.terminal.show import Output


@plain_task(hosts="none", help=ABOUT)
def check(c: FabContext, out: Output, app: str = "", env: str = "") -> int:
    """Check which secrets can be read here; shows no values."""
    from cartwheel.settings.loading import load
    from cartwheel.settings.shown import secrets_of
    from cartwheel.settings.variables import resolve_each, source_of, take_from_environment

    secrets = secrets_of(load(c.project, app or None, env or None))
    found = resolve_each(secrets, c.project, take_from_environment(secrets.values()))
    why = {name: one.message for name, one in found.items() if isinstance(one, UsageError)}
    rows = [
        (name, source_of(secret), why.get(name, "ok").removeprefix(f"{name}: "))
        for name, secret in secrets.items()
    ]
    if rows:
        out.table(rows, ("SECRET", "FROM", ""))
    else:
        out.say("the settings have no secrets")
    out.put(secrets=[{"key": key, "from": source, "said": said} for key, source, said in rows])
    return int(Exit.FAILED if why else Exit.OK)
