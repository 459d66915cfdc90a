"""Words about a host's nginx."""

from __future__ import annotations

from cartwheel.fab import FabContext, task

from . import _show
from ._scene import CHANGING, COMMON, scene_of


@task(help=COMMON)
def test(c: FabContext, app: str = "", env: str = "") -> int:
    """Check nginx's configuration on the host."""
    from cartwheel.run import ask

    return _show.answers(ask.nginx_test(scene_of(c, app, env)), lambda _one: "nginx is content")


@task(help=CHANGING)
def reload(c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10") -> int:
    """Check nginx's configuration, then make nginx read it."""
    from cartwheel.run import ask

    scene = scene_of(c, app, env, message=message, wait=wait)
    return _show.answers(ask.nginx_reload(scene), lambda _one: "reloaded")
