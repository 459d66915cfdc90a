"""Writes a new project's files, or adds an application to an existing project."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cartwheel.errors import UsageError
from cartwheel.project import django_answers, secret_keys
from cartwheel.project.detect import HEALTH_PATHS, Entry, Found
from cartwheel.project.django_answers import secret_key, variables
from cartwheel.project.entry_check import entry_problem
from cartwheel.project.files import FABFILE, Answers, settings_text
from cartwheel.settings import entry as entries
from cartwheel.settings import schema
from cartwheel.settings.checks import RESERVED_USERS, host_problem, server_name_problem
from cartwheel.settings.loading import apps, load
from cartwheel.settings.project_files import files_of
from cartwheel.settings.toml_tables import NAME, NAME_CHARACTERS, ServerKind

_MOST_OTHERS = 5
_WITH_LIFESPAN = frozenset({"FastAPI", "Starlette", "Quart", "Litestar"})


@dataclass(frozen=True)
class Written:
    """The files that were written, and those that were left unchanged, relative to the project."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    app: str | None
    """The value for --app; None if it is not needed."""
    unbound: bool
    """Whether there is a fabfile that does not load Cartwheel."""
    key_file: str = ""
    """The secret key that was made; "" if none is needed, or there is one."""


# -- what is wrong with an answer; "" if nothing


def wrong_name(project: Path, name: str) -> str:
    if not NAME.match(name) or len(name) > NAME_CHARACTERS:
        return (
            f"{name!r} is no name: lower-case letters and digits, with single `-` inside, at most"
            f" {NAME_CHARACTERS}"
        )
    if name in RESERVED_USERS:
        return f"{name!r} is a user or group of the system"
    return f"there is already an application {name}" if name in apps(project) else ""


def wrong_entry(found: Found, text: str) -> str:
    try:
        entry = entries.parse(text)
    except ValueError as error:
        return str(error)
    problem = entry_problem(entry, found.modules, None)
    if problem is not None:
        return problem.message
    top = entry.module.partition(".")[0]
    own = {name.partition(".")[0] for name in found.modules.modules}
    if entry.module not in found.modules.modules and top in own:
        return f"there is no module {entry.module} in the sources"
    return ""


def wrong_hosts(hosts: tuple[str, ...]) -> str:
    return next(filter(None, map(host_problem, hosts)), "")


def wrong_server_names(server_names: tuple[str, ...]) -> str:
    return next(filter(None, map(server_name_problem, server_names)), "")


# -- the files


def answers_of(
    found: Found,
    *,
    source: str,
    name: str,
    entry: str,
    hosts: tuple[str, ...],
    server_names: tuple[str, ...],
    written: bool = False,
) -> Answers:
    """What was detected in the sources, overridden by a person's answers; `written` if they want
    deploy_settings.py.

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
    site = found.django
    written = written and site is not None and site.needs.any
    env = tuple(variables(site, server_names, written=written)) if site else ()
    key = secret_key(site, written=written) if site else ""
    set_here = {key, *(one.name for one in env)}
    chosen = next((one for one in found.entries if _same(one.entry, serves)), None)
    kind: ServerKind = "asgi" if chosen and chosen.interface == "asgi" else "wsgi"
    kind = "uvicorn" if kind == "asgi" and found.has_websockets else kind
    return Answers(
        name=name or found.name,
        source=source,
        entry=serves,
        python=found.python,
        health_path=found.health_path or "/",
        kind=kind,
        requirements=("websockets",) if kind == "uvicorn" and not found.can_upgrade else (),
        has_lifespan=chosen is not None and chosen.framework in _WITH_LIFESPAN,
        variables=[name for name in found.variables if name not in set_here],
        migrate=found.release or found.migrate,
        processes=found.processes,
        timers=found.cron.timers,
        hosts=hosts,
        server_names=server_names,
        said=dict(_said(found, chosen, written=written)),
        static=django_answers.static(site, written=written) if site else dict(found.static),
        media=django_answers.media(site, written=written) if site else {},
        env=env,
        key=key,
        tests=site.tests if site else "",
        scheme="https" if site and site.redirects else "",
        sources={_below(source, site.file): site.text} if site and written else {},
    )


def _same(entry: str, other: str) -> bool:
    """Whether two entries name the same attribute; a factory's arguments do not matter."""
    return entry == other or (
        entry.endswith("()") and re.sub(r"\(.*\)$", "()", other, flags=re.DOTALL) == entry
    )


def _below(folder: str, file: str) -> str:
    return str(PurePosixPath(folder) / file)


def _said(found: Found, chosen: Entry | None, *, written: bool) -> Iterator[tuple[str, str]]:
    """The source of each value, as comments for the file."""
    if chosen is not None:
        yield "entry", f"{chosen.framework or chosen.interface.upper()}, in {chosen.file}"
    if found.requires_python:
        yield "python", f"on the host; the sources require {found.requires_python}"
    else:
        yield "python", "on the host: a version, or an absolute path"
    if not found.health_path:
        yield "path", "must answer 200, without login or redirect"
    elif found.health_path.rstrip("/") in HEALTH_PATHS:
        yield "path", "found in the sources"
    else:
        yield "path", "no health check was found; this answers 200"
    if found.release:
        yield "migrate", "release of the Procfile"
    elif found.django and found.django.has_database and (written or not found.django.needs.any):
        yield "migrate", "one host runs it, before any host switches"
    yield "scheme", "Django redirects plain HTTP"
    own = "gunicorn's own worker (Python 3.10 on the host); or uvicorn"
    yield "kind", "it closes websockets properly" if found.has_websockets else own
    yield "requirements", "uvicorn needs it for websockets"


def advice(found: Found, answers: Answers) -> Iterator[str]:
    """Advice for a person before the first deploy."""
    if found.others:
        yield (
            f"other applications in the sources: {', '.join(found.others[:_MOST_OTHERS])};"
            " app.source and app.entry choose the one to deploy"
        )
    if not found.health_path:
        yield (
            "no health check was found, so / must answer 200: health.path names another path"
            " (without login or redirect)"
        )
    yield from _advice_on_processes(found)
    if answers.variables:
        named = ", ".join(answers.variables)
        yield f"the sources read {named}: set what they need under [env] or [secrets]"
    yield from found.pitfalls
    site, written = found.django, bool(answers.sources)
    if site:
        yield from django_answers.left_to_do(site, written=written)
    allowed = None if site and site.needs.hosts and written else found.hosts
    missing = [name for name in answers.server_names if allowed and not allowed.admits(name)]
    if missing and allowed is not None:
        yield (
            f"{allowed.place}: ALLOWED_HOSTS lacks {', '.join(missing)}: add it, or Django"
            " answers every request with 400"
        )


def _advice_on_processes(found: Found) -> Iterator[str]:
    fine = [one.name for one in found.processes if not one.problems]
    if fine:
        yield f"processes besides web: {', '.join(fine)}; see their commands and stop_seconds"
    timed = [one.name for one in found.cron.timers if not one.problems]
    if timed:
        yield f"timers: {', '.join(timed)}; their times are in the host's time zone, or set zone"
    for one in (*found.processes, *found.cron.timers):
        yield from one.problems
    yield from found.cron.notes
    for name in found.without_app:
        yield (
            f"{name} is required, but nothing in the sources says how its worker starts: write"
            " [processes.worker]"
        )


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
        **answers.sources,
        path: settings_text(answers, own_file=own_file, schema=f"./{at}"),
        used.schema: schema.text(),
        "fabfile.py": FABFILE,
    }
    written = [name for name, text in texts.items() if _write_new(project / name, text)]
    app = answers.name if own_file else None
    try:
        load(project, app, None)
        made = answers.key_file if answers.key and secret_keys.make(answers.key_file) else ""
    except UsageError:
        for name in written:
            (project / name).unlink()
        raise
    kept = tuple(name for name in texts if name not in written)
    return Written(tuple(written), kept, app, not _is_bound(project / "fabfile.py"), made)


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
