"""Tasks for the settings: nothing here connects to a host."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from textwrap import indent
from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.fab import FabContext
from cartwheel.terminal.scene import ABOUT, names, plain_task

if TYPE_CHECKING:
    from cartwheel.project.begin import Written
    from cartwheel.project.detect import Found
    from cartwheel.project.files import Answers
    from cartwheel.terminal.show import Output

_INIT = {
    "name": "Name of the application on the hosts (default: the name in pyproject.toml).",
    "source": "Folder of the application, a wheel, or NAME==VERSION (default: found here).",
    "entry": "WSGI or ASGI application, module:attribute (default: found in the sources).",
    "server-name": "Server names of the site, comma-separated.",
    "deploy-settings": "Write deploy_settings.py where a Django project needs one.",
    "yes": "Ask no questions; take the defaults.",
}
# The questions.
_SOURCE = "Application (a folder, a wheel, or NAME==VERSION)"
_NAME = "Name of the application on the hosts"
_ENTRY = "WSGI or ASGI application (module:attribute)"
_HOSTS = "Hosts, comma-separated ([USER@]HOST[:PORT])"
_YES, _YES_WORDS = "yes", ("yes", "y")
_SITE = "Server names of the site, comma-separated"


@plain_task(hosts="optional", help=_INIT)
def init(
    c: FabContext,
    out: Output,
    name: str = "",
    source: str = "",
    entry: str = "",
    server_name: str = "",
    deploy_settings: bool = True,
    yes: bool = False,
) -> int:
    """Write settings for an app, and a fabfile if needed.

    Asks for what the sources and the command-line options leave open; -H names hosts.
    """
    from cartwheel.commands.init import look
    from cartwheel.project.begin import begin

    ask = partial(_answer, out, silent=yes or not sys.stdin.isatty())
    place, found = look(c.project, source, entry, out.emit, lambda: ask(_SOURCE, "", _any))
    wants = partial(_wants_settings, out, found, ask, given=deploy_settings)
    answers = _ask_all(c, found, place, ask, wants, name=name, entry=entry, server_name=server_name)
    done = begin(c.project, answers)
    _say_begun(out, found, answers, done)
    out.put(written=done.written, kept=done.kept, entry=answers.entry, name=answers.name)
    return 0


def _ask_all(
    c: FabContext,
    found: Found,
    source: str,
    ask: Callable[..., str],
    wants: Callable[[], bool],
    *,
    name: str,
    entry: str,
    server_name: str,
) -> Answers:
    """What was found in the sources, and the answers to the questions that no option answers."""
    from cartwheel.project import begin

    def wrong_hosts(said: str) -> str:
        return begin.wrong_hosts(names("hosts", said))

    def wrong_server_names(said: str) -> str:
        return begin.wrong_server_names(names("server-name", said))

    wrong_name = partial(begin.wrong_name, c.project)
    wrong_entry = partial(begin.wrong_entry, found)
    return begin.answers_of(
        found,
        source=source,
        name=ask(_NAME, found.name, wrong_name, given=name),
        entry=ask(_ENTRY, found.likeliest, wrong_entry, given=entry),
        hosts=c.hosts or names("hosts", ask(_HOSTS, "", wrong_hosts)),
        server_names=names("server-name", ask(_SITE, "", wrong_server_names, given=server_name)),
        written=wants(),
    )


def _wants_settings(out: Output, found: Found, ask: Callable[..., str], *, given: bool) -> bool:
    """Show what was found in Django's settings; whether deploy_settings.py is to be written."""
    site = found.django
    if site is None:
        return False
    out.say(f"Django: {site.said}")
    problems = [one for one in site.problems if one.repaired]
    if problems:
        out.say("on a host these would go wrong:")
    for problem in problems:
        out.say(f"  {problem}")
    if not (given and site.needs.any):
        return False
    out.say(f"{site.file} would prevent that:\n")
    out.say(indent(site.text, "    "))
    return ask(f"Write {site.file}? (yes or no)", _YES, _wrong_yes_or_no) in _YES_WORDS


def _say_begun(out: Output, found: Found, answers: Answers, done: Written) -> None:
    """The files that were written, and what to do next."""
    from cartwheel.project.begin import advice
    from cartwheel.project.files import FABFILE

    for path in done.written:
        out.say(f"wrote {path}")
    for path in done.kept:
        out.say(f"kept {path} unchanged")
    if done.key_file:
        out.say(
            f"made {done.key_file}, a secret key that is not in the sources: keep a copy, whoever"
            " deploys needs the same one"
        )
    if done.unbound:
        out.say(f"add this to fabfile.py to load Cartwheel's tasks:\n\n{FABFILE}")
    for text in advice(found, answers):
        out.say(f"note: {text}")
    at = "" if answers.hosts else " -H HOST"
    app = f" --app {done.app}" if done.app else ""
    fab = "fab" if shutil.which("fab") else "cartwheel"  # pipx and uv tool install only this one
    out.say(f"next: {fab} setup{app}{at} && {fab} deploy{app}{at}")


def _wrong_yes_or_no(answer: str) -> str:
    return "" if answer in (*_YES_WORDS, "no", "n") else "yes or no?"


def _any(_answer: str) -> str:
    """Nothing is wrong with it yet."""
    return ""


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
    from cartwheel.settings.loading import load_placed
    from cartwheel.settings.shown import DEFAULT, lines

    found = lines(load_placed(c.project, app or None, env or None))
    shown = [line for line in found if not (written and line.place == DEFAULT)]
    out.table([(line.key, line.value, line.place) for line in shown], ("KEY", "VALUE", "FROM"))
    out.put(settings=[asdict(line) for line in shown])
    return 0


@plain_task(hosts="none")
def check(c: FabContext, out: Output) -> int:
    """Check settings and templates of all apps, environments."""
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
