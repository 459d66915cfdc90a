"""The application's files of configuration ([files]): read and rendered here, once for all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cartwheel.commands.scene import Scene
from cartwheel.errors import UsageError, first_of
from cartwheel.hidden import Hidden
from cartwheel.plan.making import Placed
from cartwheel.render.templates import FileTemplates
from cartwheel.settings import names, resolve_each
from cartwheel.settings.toml_tables import Settings
from cartwheel.settings.variables import Variable

SHARED = "shared/"


def placed_files(scene: Scene, variables: Mapping[str, Variable]) -> dict[str, Placed]:
    """Every file by its name in the release. Raises UsageError("template") and ("secret")."""
    files = scene.settings.files
    wanted = {f"files.{name}.secret": one.secret for name, one in files.items() if one.secret}
    secrets = resolve_each(wanted, scene.project, scene.taken)
    wrong = [one.message for one in secrets.values() if isinstance(one, UsageError)]
    if wrong:
        raise UsageError("secret", first_of(wrong), detail="\n".join(wrong))
    values = _values(scene.settings, {name: one.value.reveal() for name, one in variables.items()})
    templates = FileTemplates(scene.project)
    found: dict[str, Placed] = {}
    for name, one in files.items():
        secret = secrets.get(f"files.{name}.secret")
        if one.template is not None:
            content = Hidden(templates.render(one.template, values))
        else:
            assert isinstance(secret, Hidden)  # noqa: S101 - it has one or the other
            content = secret
        plain = name.removeprefix(SHARED)
        found[plain] = Placed(
            content=content,
            mode=int(one.mode, 8),
            owner=one.owner,
            link=plain if name.startswith(SHARED) else "",
            variable=one.variable or "",
        )
    return found


def check_placed(settings: Settings, project: Path) -> None:
    """Render the templates of [files] without secrets. Raises UsageError("template")."""
    values = _values(settings, dict.fromkeys((*settings.env, *settings.secrets), "x"))
    for one in settings.files.values():
        if one.template is not None:
            FileTemplates(project).render(one.template, values)


# Any: the names of a template have values of all kinds.
def _values(settings: Settings, env: Mapping[str, str]) -> dict[str, Any]:
    return {
        "settings": settings,
        "app": settings.slug,
        "user": names.user(settings),
        "group": names.group(settings),
        "root": settings.root,
        "shared": f"{settings.root}/shared",
        "env": dict(env),
    }
