"""Tasks for the settings: nothing here connects to a host."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.fab import FabContext
from cartwheel.terminal.scene import ABOUT, names, plain_task

if TYPE_CHECKING:
    from cartwheel.terminal.show import Output

_INIT = {
    "name": "Name of the application on the hosts (default: the name in pyproject.toml).",
    "source": "Folder of the application, a wheel, or NAME==VERSION (default: found here).",
    "entry": "WSGI or ASGI application, module:attribute (default: found in the sources).",
    "server-name": "Server names of the site, comma-separated.",
    "yes": "Ask no questions; take the defaults.",
}


@plain_task(hosts="optional", help=_INIT)
def init(
    c: FabContext,
    out: Output,
    name: str = "",
    source: str = "",
    entry: str = "",
    server_name: str = "",
    yes: bool = False,
) -> int:
    """Write settings for an app, and a fabfile if there is none.

    Asks for what the sources and the command-line options leave open; -H names hosts.
    """
    from cartwheel.commands.init import look
    from cartwheel.project.begin import (
        advice,
        answers_of,
        begin,
        wrong_entry,
        wrong_hosts,
        wrong_name,
        wrong_server_names,
    )
    from cartwheel.project.files import FABFILE

    ask = partial(_answer, out, silent=yes or not sys.stdin.isatty())
    place, found = look(c.project, source, entry, out.emit, lambda: ask(_SOURCE, "", _any))
    named = ask(
        "Name of the application on the hosts",
        found.name,
        partial(wrong_name, c.project),
        given=name,
    )
    serves = ask(
        "WSGI or ASGI application (module:attribute)",
        found.likeliest,
        partial(wrong_entry, found),
        given=entry,
    )
    listed = partial(names, "hosts")
    hosts = c.hosts or listed(
        ask(
            "Hosts, comma-separated ([USER@]HOST[:PORT])",
            "",
            lambda said: wrong_hosts(listed(said)),
        )
    )
    of_site = partial(names, "server-name")
    server_names = of_site(
        ask(
            "Server names of the site, comma-separated",
            "",
            lambda said: wrong_server_names(of_site(said)),
            given=server_name,
        )
    )
    answers = answers_of(
        found, source=place, name=named, entry=serves, hosts=hosts, server_names=server_names
    )
    done = begin(c.project, answers)
    for path in done.written:
        out.say(f"wrote {path}")
    for path in done.kept:
        out.say(f"kept {path} unchanged")
    if done.unbound:
        out.say(f"add this to fabfile.py to load Cartwheel's tasks:\n\n{FABFILE}")
    for text in advice(found, answers):
        out.say(f"note: {text}")
    at = "" if answers.hosts else " -H HOST"
    app = f" --app {done.app}" if done.app else ""
    fab = "fab" if shutil.which("fab") else "cartwheel"  # pipx and uv tool install only this one
    out.say(f"next: {fab} setup{app}{at} && {fab} deploy{app}{at}")
    out.put(written=done.written, kept=done.kept, entry=answers.entry, name=answers.name)
    return 0


def _any(_answer: str) -> str:
    """Nothing is wrong with it yet."""
    return ""


_SOURCE = "Application (a folder, a wheel, or NAME==VERSION)"


def _answer(
    out: Output,
    question: str,
    default: str,
    wrong: Callable[[str], str],
    *,
    silent: bool,
    given: str = "",
) -> str:
    """A person's answer, with a default for Return; if silent, the default. An option's value is
    `given`. An answer that is wrong is asked for again. Raises UsageError for a wrong option."""
    problem = wrong(given or default) if given or default else ""
    if problem and (given or silent):
        raise UsageError("usage", problem)
    if given or silent:
        return given or default
    proposed = "" if problem else default
    shown = f" [{proposed}]" if proposed else ""
    while True:
        said = out.asked(f"{question}{shown}: ") or proposed
        problem = wrong(said) if said else ""
        if not problem:
            return said
        out.complain(problem)


@plain_task(hosts="none", help={**ABOUT, "written": "Only settings from files, without defaults."})
def show(c: FabContext, out: Output, app: str = "", env: str = "", written: bool = False) -> int:
    """Show all settings, each with the line it comes from."""
    from cartwheel.settings import load_placed
    from cartwheel.settings.shown import DEFAULT, lines

    found = lines(load_placed(c.project, app or None, env or None))
    shown = [line for line in found if not (written and line.place == DEFAULT)]
    out.table([(line.key, line.value, line.place) for line in shown], ("KEY", "VALUE", "FROM"))
    out.put(settings=[asdict(line) for line in shown])
    return 0


@plain_task(hosts="none")
def check(c: FabContext, out: Output) -> int:
    """Check settings and templates of every app and environment."""
    from cartwheel.commands.check import check as run

    checked = run(c.project)
    out.table(
        [(one.app.name, one.environment or "-", "ok") for one in checked],
        ("APP", "ENVIRONMENT", ""),
    )
    out.put(checked=[one.slug for one in checked])
    return 0


@plain_task(hosts="none", json=False)
def schema(c: FabContext, out: Output) -> int:
    """Print the settings' JSON Schema, for editors."""
    from cartwheel.settings.schema import text

    out.say(text().rstrip())
    return 0
