"""Words about the settings: nothing here connects to a host."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from cartwheel.fab import FabContext

from ._scene import plain_word

if TYPE_CHECKING:
    from ._show import Output

_APP = {"app": "Which application, where config/apps/ has several."}
_ENV = {"env": "Which environment: config/environments/NAME.toml."}


@plain_word(
    hosts="none", help={**_APP, **_ENV, "written": "Only what a file says, without defaults."}
)
def show(c: FabContext, out: Output, app: str = "", env: str = "", written: bool = False) -> int:
    """The merged settings, each with the file and line it comes from."""
    from cartwheel.settings import load_placed
    from cartwheel.settings.shown import DEFAULT, lines

    found = lines(load_placed(c.project, app or None, env or None))
    shown = [line for line in found if not (written and line.place == DEFAULT)]
    out.table([(line.key, line.value, line.place) for line in shown], ("KEY", "VALUE", "FROM"))
    out.put(settings=[asdict(line) for line in shown])
    return 0


@plain_word(hosts="none")
def check(c: FabContext, out: Output) -> int:
    """Check all settings files: every app in every environment."""
    from cartwheel.settings.loading import load_all

    checked = load_all(c.project)
    out.table(
        [(one.settings.app.name, one.settings.environment or "-", "ok") for one in checked],
        ("APP", "ENVIRONMENT", ""),
    )
    out.put(checked=[one.settings.slug for one in checked])
    return 0


@plain_word(hosts="none", json=False)
def schema(c: FabContext, out: Output) -> int:
    """Print the settings' JSON Schema, for config/settings.schema.json."""
    from cartwheel.settings.schema import text

    out.say(text().rstrip())
    return 0
