"""The application's files of configuration ([files]): read and rendered here, once for all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cartwheel.commands.scene import Scene
from cartwheel.errors import UsageError, first_of
from cartwheel.hidden import Hidden
from cartwheel.host.wire.making import PlacedFile
from cartwheel.render.templates import FileTemplates
from cartwheel.settings import names
from cartwheel.settings.toml_tables import Settings
from cartwheel.settings.variables import Variable, resolve_each

_SHARED = "shared/"
_MASK = "(a secret)"


def placed_files(scene: Scene, variables: Mapping[str, Variable]) -> dict[str, PlacedFile]:
    """Every file by its name in the release. Raises UsageError("template") and ("secret")."""
    files = scene.settings.files
    wanted = {f"files.{name}.secret": one.secret for name, one in files.items() if one.secret}
    secrets = resolve_each(wanted, scene.project, scene.taken)
    wrong = [one.message for one in secrets.values() if isinstance(one, UsageError)]
    if wrong:
        raise UsageError("secret", first_of(wrong), detail="\n".join(wrong))
    templates = _Rendering(scene, variables)
    found: dict[str, PlacedFile] = {}
    for name, one in files.items():
        secret = secrets.get(f"files.{name}.secret")
        if one.template is not None:
            content, is_secret = templates.render(one.template)
        else:
            assert isinstance(secret, Hidden)  # noqa: S101 - it has one or the other
            content, is_secret = secret, True
        plain = name.removeprefix(_SHARED)
        found[plain] = PlacedFile(
            content=content,
            mode=int(one.mode, 8),
            owner=one.owner,
            link=plain if name.startswith(_SHARED) else "",
            variable=one.variable or "",
            secret=is_secret,
        )
    return found


class _Rendering:
    """The templates with the values of variables, some of which are secret."""

    def __init__(self, scene: Scene, variables: Mapping[str, Variable]) -> None:
        self._templates = FileTemplates(scene.project)
        known = {name: one.value.reveal() for name, one in variables.items()}
        masked = {name: _MASK if one.secret else known[name] for name, one in variables.items()}
        self._values = _values(scene.settings, known)
        self._masked = _values(scene.settings, masked)

    def render(self, template: str) -> tuple[Hidden, bool]:
        """The text, and whether it depends on a secret. Raises UsageError("template")."""
        text = self._templates.render(template, self._values)
        try:
            return Hidden(text), text != self._templates.render(template, self._masked)
        except UsageError:  # it takes a secret apart, for example
            return Hidden(text), True


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
