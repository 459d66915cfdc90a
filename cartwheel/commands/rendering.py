"""Renders a host's files from its facts, in the form that the plan needs."""

from __future__ import annotations

from collections.abc import Mapping

from cartwheel.commands.scene import Scene
from cartwheel.plan.deploy import Rendered
from cartwheel.render.release import SITE, RenderFacts, render_release, render_tls

# Files that setup writes do not depend on facts of a host.
_ANY_HOST = RenderFacts(
    cpus=1, systemd_version=252, python_version="3.11.2", default_server_free=True, ipv6=True
)


def render_for(scene: Scene, known: RenderFacts, release: str) -> Rendered:
    """A release's files, the same on all hosts with these facts. Raises UsageError("template")."""
    files = render_release(scene.settings, known, release, scene.project)
    return Rendered(
        files={name: file.content for name, file in files.items() if not file.shared},
        site=files[SITE].content,
        host_files={
            file.path: file.content for name, file in files.items() if file.shared and name != SITE
        },
        tls=render_tls(scene.settings, known, scene.project),
    )


def sample_files(scene: Scene) -> Mapping[str, str]:
    """A release's own files, independent of a host: its name is made from them."""
    return render_for(scene, _ANY_HOST, "0").files


def host_files(scene: Scene) -> dict[str, str]:
    """Boot unit and log rotation: path -> text."""
    return dict(render_for(scene, _ANY_HOST, "0").host_files)
