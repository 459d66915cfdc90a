"""Writes a new project's files, or adds an application to an existing project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cartwheel.errors import UsageError
from cartwheel.project.detect import Entry, Found
from cartwheel.project.files import FABFILE, Answers, settings_text
from cartwheel.settings import load, schema
from cartwheel.settings.loading import apps
from cartwheel.settings.project_files import files_of


@dataclass(frozen=True)
class Written:
    """The files that were written, and those that were left unchanged, relative to the project."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    app: str | None
    """The value for --app; None if it is not needed."""
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
    """What was detected in the sources, overridden by a person's answers.

    Raises UsageError if neither has the application's name or entry.
    """
    serves = entry or found.likeliest
    if not serves:
        raise UsageError(
            "usage",
            "no WSGI or ASGI application was found in the sources",
            hint="Name it: `--entry module:attribute`, or `--entry module:factory()`.",
        )
    if not (name or found.name):
        raise UsageError("usage", "the application has no name", hint="Add `--name shop`.")
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
    """The source of each value, as comments for the file."""
    if chosen is not None:
        yield "entry", f"{chosen.framework or chosen.interface.upper()}, in {chosen.file}"
    if found.requires_python:
        yield "python", f"on the host; pyproject.toml says {found.requires_python}"
    else:
        yield "python", "on the host: a version, or an absolute path"
    yield "path", "found in the sources" if found.health_path else "must answer 200"
    yield "asgi", "gunicorn's own worker; needs Python 3.10 on the host"


def begin(project: Path, answers: Answers) -> Written:
    """Write the missing files; existing files are not changed.

    Raises UsageError if the application already exists, or if its settings are not valid: then
    the new files are removed.
    """
    if answers.name in apps(project):
        message = f"there is already an application {answers.name}"
        raise UsageError("usage", message, hint="Choose another name with `--name`.")
    used = files_of(project)
    own_file = (project / used.deploy).exists()
    path = f"{used.apps}/{answers.name}.toml" if own_file else used.deploy
    at = os.path.relpath(project / used.schema, (project / path).parent)
    texts = {
        path: settings_text(answers, own_file=own_file, schema=f"./{at}"),
        used.schema: schema.text(),
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
