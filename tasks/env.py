"""Words about the app's environment variables."""

from __future__ import annotations

from cartwheel.fab import FabContext, task

from . import _show
from ._scene import COMMON, scene_of


@task(name="list", help=COMMON)
def list_variables(c: FabContext, app: str = "", env: str = "") -> int:
    """Names of the serving release's variables and where each came from; never values."""
    from cartwheel.run import ask

    return _show.answer_table(
        ask.variables(scene_of(c, app, env)),
        ("NAME", "FROM"),
        lambda one: sorted(one["names"].items()),
    )
