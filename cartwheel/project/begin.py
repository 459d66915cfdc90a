"""Write a new project's files, or one more application of a project that is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cartwheel.errors import UsageError
from cartwheel.project.detect import Entry, Found
from cartwheel.project.files import FABFILE, Answers, settings_text
from cartwheel.settings import load, schema
from cartwheel.settings.loading import APPS, DEPLOY, SCHEMA, apps


@dataclass(frozen=True)
class Written:
    """The files that were written and those left as they were, relative to the project."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    app: str | None
    """What --app must say; None where no choice is needed."""
    unbound: bool
    """Whether there is a fabfile that does not load Cartwheel."""


def answers_of(
    found: Found,
    *,
    source: str,
    name: str,
    entry: str,
    hosts: tuple[str, ...],
    server_names: tuple[str, ...],
) -> Answers:
    """What was found in the sources, with what a person says over it.

    Raises UsageError where neither says what the application is called or serves.
    """
    serves = entry or found.likeliest
    if not serves:
        raise UsageError(
            "usage",
            "no application object was found in the sources",
            hint="Say where it is: `--entry module:attribute`, or `--entry module:factory()`.",
        )
    if not (name or found.name):
        raise UsageError("usage", "the application has no name", hint="Say one: `--name shop`.")
    chosen = next((one for one in found.entries if one.entry == serves), None)
    return Answers(
        name=name or found.name,
        source=source,
        entry=serves,
        python=found.python,
        health_path=found.health_path or "/",
        is_asgi=chosen is not None and chosen.interface == "asgi",
        hosts=hosts,
        server_names=server_names,
        said=dict(_said(found, chosen)),
    )


def _said(found: Found, chosen: Entry | None) -> Iterator[tuple[str, str]]:
    """Where a value comes from, for who reads the file."""
    if chosen is not None:
        yield "entry", f"{chosen.framework or chosen.interface.upper()}, in {chosen.file}"
    if found.requires_python:
        yield "python", f"on the host; pyproject.toml says {found.requires_python}"
    else:
        yield "python", "on the host: a version, or an absolute path"
    yield "path", "as the sources have it" if found.health_path else "must answer 200"
    yield "asgi", "gunicorn's own; needs Python 3.10 on the host"


def begin(project: Path, answers: Answers) -> Written:
    """Write what is missing; nothing that is there is changed.

    Raises UsageError where the application is there already, or its settings are not valid: then
    nothing stays.
    """
    if answers.name in apps(project):
        message = f"there is an application {answers.name} already"
        raise UsageError("usage", message, hint="Give another one with `--name`.")
    own_file = (project / DEPLOY).exists()
    path = f"{APPS}/{answers.name}.toml" if own_file else DEPLOY
    texts = {
        path: settings_text(answers, own_file=own_file),
        f"config/{SCHEMA}": schema.text(),
        "fabfile.py": FABFILE,
    }
    written = [name for name, text in texts.items() if _write_new(project / name, text)]
    app = answers.name if own_file else None
    try:
        load(project, app, None)
    except UsageError:
        for name in written:
            (project / name).unlink()
        raise
    kept = tuple(name for name in texts if name not in written)
    return Written(tuple(written), kept, app, unbound=not _is_bound(project / "fabfile.py"))


def _is_bound(fabfile: Path) -> bool:
    return "cartwheel" in fabfile.read_text(encoding="utf-8", errors="replace")


def _write_new(path: Path, text: str) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
