"""Turns TOML files into checked settings; reports all mistakes at once, with their lines.

the model's defaults < cartwheel.toml < .cartwheel/apps/NAME.toml
                     < .cartwheel/environments/NAME.toml  (or the same in config/: `project_files`)
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.errors import UsageError, first_of

from .layers import Key, Layer, Mistake, Place, lay_over, read
from .project_files import NEW, OLD, ProjectFiles, files_of

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings


@dataclass(frozen=True)
class Placed:
    """Settings, and the place of each key."""

    settings: Settings
    merged: Layer

    def place(self, key: Key) -> str:
        """`cartwheel.toml:3:1`, or `default` if no file has the key."""
        return str(self.merged.place(key) or "default")


def load(project: Path, app: str | None, env: str | None) -> Settings:
    """The settings of one application in one environment; see `load_placed`."""
    return load_placed(project, app, env).settings


def load_placed(project: Path, app: str | None, env: str | None) -> Placed:
    """The settings of one application in one environment.

    `app` and `env` are the values of --app and --env. Raises UsageError("usage") if they are
    unknown, or if one of several apps must be chosen, and UsageError("settings") for mistakes in
    the files: its message is the first mistake, its detail all of them, one on each line.
    """
    placed, mistakes = _load(project, app, env)
    if mistakes:
        raise _settings_error(mistakes)
    return placed


def load_all(project: Path) -> list[Placed]:
    """Every application in every environment; without environments, each application once.

    Raises UsageError("settings") with the mistakes of all of them.
    """
    known: tuple[list[str], list[str]] = apps(project), environments(project)
    found = [_load(project, app, env) for app in known[0] or (None,) for env in known[1] or (None,)]
    mistakes = [mistake for _, of_one in found for mistake in of_one]
    if mistakes:
        raise _settings_error(mistakes)
    return [placed for placed, _ in found]


def _load(project: Path, app: str | None, env: str | None) -> tuple[Placed, list[Mistake]]:
    """The settings as far as they can be understood, and all mistakes in them."""
    from . import checks

    placed, mistakes, faulty = _load_alone(project, app, env)
    own = _chosen_app(project, app) or _own_app(project)
    others = {name: _load_alone(project, name, env)[0] for name in apps(project) if name != own}
    return placed, [
        *mistakes,
        *checks.check(placed.settings, placed.merged, faulty),
        *checks.check_beside(placed, others),
    ]


def _load_alone(
    project: Path, app: str | None, env: str | None
) -> tuple[Placed, list[Mistake], set[Key]]:
    """One application without the others, its mistakes, and the keys with mistakes."""
    from . import validation

    files = _files(project, app, env)
    layers, mistakes = _read_all(files, project)
    merged = Layer()
    for layer in layers:
        merged = lay_over(merged, layer)
    if env is not None:
        merged.data["environment"] = env
    environments_folder = project / files_of(project).environments
    of_app = [file for file in files if file.parent != environments_folder][-1]
    settings, found = validation.validate(merged, Place(_shown(of_app, project)))
    if len(layers) < len(files):  # a missing key may be in the file that cannot be read
        found = [one for one in found if not one.is_missing]
    mistakes += [one.mistake for one in found]
    return Placed(settings, merged), mistakes, {one.key for one in found}


def apps(project: Path) -> list[str]:
    """The names for --app."""
    named = _own_app(project)
    return sorted({*([named] if named else []), *_stems(project / files_of(project).apps)})


def environments(project: Path) -> list[str]:
    """The names for --env."""
    return _stems(project / files_of(project).environments)


def _files(project: Path, app: str | None, env: str | None) -> list[Path]:
    """The files to merge, in order."""
    used = files_of(project)
    shared = project / used.deploy
    chosen = _chosen_app(project, app)
    files = [shared] if shared.exists() or chosen is None else []
    if chosen is not None:
        files.append(project / used.apps / f"{chosen}.toml")
    if env is not None:
        _must_know("environment", env, environments(project), used, project)
        files.append(project / used.environments / f"{env}.toml")
    if not files[0].exists():
        raise UsageError(
            "settings",
            f"there is no {used.deploy} in {project}",
            hint=_where_to_begin(project),
        )
    return files


def _where_to_begin(project: Path) -> str:
    for above in project.resolve().parents:
        if (above / NEW.deploy).is_file() or (above / OLD.deploy).is_file():
            return f"There is one in {above}: run it there."
    return "Run `cartwheel config.init` in your application's folder; it writes one."


def _chosen_app(project: Path, app: str | None) -> str | None:
    """The app whose own file is used; None: cartwheel.toml alone describes it."""
    used, known = files_of(project), apps(project)
    if app is not None:
        _must_know("app", app, known, used, project)
    elif len(known) > 1:
        raise UsageError(
            "usage",
            f"there are several apps ({', '.join(known)}); choose one",
            hint=f"Choose one with `--app {known[0]}`.",
        )
    name = app or (known[0] if known else None)
    return name if name in _stems(project / used.apps) else None


def _must_know(kind: str, name: str, known: list[str], used: ProjectFiles, project: Path) -> None:
    if name in known:
        return
    file = f"{kind}s/{name}.toml"
    close = difflib.get_close_matches(name, known, 1)
    if used != OLD and (project / OLD.folder / file).exists():
        hint = f"Move {OLD.folder}/{file} to {used.folder}/{file}."
    elif close:
        hint = f"Did you mean {close[0]}?"
    elif known:
        hint = f"Known: {', '.join(known)}."
    else:
        hint = f"Write {used.folder}/{file}."
    raise UsageError("usage", f"there is no {kind} named {name!r}", hint=hint)


def _read_all(files: list[Path], project: Path) -> tuple[list[Layer], list[Mistake]]:
    layers: list[Layer] = []
    mistakes: list[Mistake] = []
    used = files_of(project)
    of_app = next((file.stem for file in files if file.parent == project / used.apps), None)
    for file in files:
        layer = read(file, project)
        if isinstance(layer, Mistake):
            mistakes.append(layer)
            continue
        if "environment" in layer.data:
            place = layer.places["environment",]
            mistakes.append(Mistake(place, "environment: cannot be set here; use `--env NAME`"))
            del layer.data["environment"]
        if of_app is not None:
            mistakes += _name_app(
                layer, of_app, _shown(file, project), is_shared=file == project / used.deploy
            )
        layers.append(layer)
    return layers, mistakes


def _name_app(layer: Layer, name: str, shown: str, *, is_shared: bool) -> list[Mistake]:
    """An app with its own file has the file's name, and inherits from no other app."""
    table = layer.data.setdefault("app", {})
    if not isinstance(table, dict):
        return []
    if shown.endswith(f"apps/{name}.toml"):
        given = table.setdefault("name", name)
        layer.places.setdefault(("app",), Place(shown, 1))
        if given != name:
            place = layer.place(("app", "name")) or Place(shown)
            return [Mistake(place, f"app.name: expected {name!r}, the name of this file")]
    elif is_shared and "name" in table:
        # It describes another app: its [app] is not shared.
        del layer.data["app"]
        for key in [key for key in layer.places if key[0] == "app"]:
            del layer.places[key]
    return []


def _own_app(project: Path) -> str | None:
    """The name of the app that cartwheel.toml describes, if any."""
    deploy = project / files_of(project).deploy
    layer = read(deploy, deploy.parent) if deploy.exists() else None
    table = layer.data.get("app") if isinstance(layer, Layer) else None
    name = table.get("name") if isinstance(table, dict) else None
    return name if isinstance(name, str) else None


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml")) if folder.is_dir() else []


def _shown(file: Path, project: Path) -> str:
    return str(file.relative_to(project))


def _settings_error(mistakes: list[Mistake]) -> UsageError:
    ordered = sorted(mistakes, key=lambda one: (one.place.file, one.place.line, one.place.column))
    lines = list(dict.fromkeys(str(one) for one in ordered))
    return UsageError("settings", first_of(lines), detail="\n".join(lines))
