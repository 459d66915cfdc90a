"""Tasks for the settings: nothing here connects to a host."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from cartwheel.fab import FabContext
from cartwheel.terminal.scene import ABOUT, names, plain_task

if TYPE_CHECKING:
    from cartwheel.terminal.show import Output

_INIT = {
    "name": "Name of the application on the hosts (default: the name in pyproject.toml).",
    "source": "Folder of the application, relative to this one (default: this one).",
    "entry": "WSGI or ASGI application, module:attribute (default: found in the sources).",
    "server-name": "Server names of the site, comma-separated.",
    "yes": "Ask no questions; take the defaults.",
}


@plain_task(hosts="optional", help=_INIT)
def init(
    c: FabContext,
    out: Output,
    name: str = "",
    source: str = ".",
    entry: str = "",
    server_name: str = "",
    yes: bool = False,
) -> int:
    """Write settings for an app, and a fabfile if there is none.

    Asks for what the sources and the command-line options leave open; -H names hosts.
    """
    from cartwheel.project.begin import answers_of, begin
    from cartwheel.project.detect import detect
    from cartwheel.project.files import FABFILE

    found = detect(c.project / source)
    ask = partial(_answer, out, silent=yes or not sys.stdin.isatty())
    answers = answers_of(
        found,
        source=source,
        name=name or ask("Name of the application on the hosts", found.name),
        entry=entry or ask("WSGI or ASGI application (module:attribute)", found.likeliest),
        hosts=c.hosts or names("hosts", ask("Hosts, comma-separated ([USER@]HOST[:PORT])", "")),
        server_names=names(
            "server-name", server_name or ask("Server names of the site, comma-separated", "")
        ),
    )
    done = begin(c.project, answers)
    for path in done.written:
        out.say(f"wrote {path}")
    for path in done.kept:
        out.say(f"kept {path} unchanged")
    if done.unbound:
        out.say(f"add this to fabfile.py to load Cartwheel's tasks:\n\n{FABFILE}")
    at = "" if answers.hosts else " -H HOST"
    app = f" --app {done.app}" if done.app else ""
    out.say(f"next: fab setup{app}{at} && fab deploy{app}{at}")
    out.put(written=done.written, kept=done.kept, entry=answers.entry, name=answers.name)
    return 0


def _answer(out: Output, question: str, default: str, *, silent: bool) -> str:
    """A person's answer, with a default for Return; if silent, the default."""
    shown = f" [{default}]" if default else ""
    return default if silent else out.asked(f"{question}{shown}: ") or default


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
