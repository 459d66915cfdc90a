"""Whether `app.entry` names an application that the chosen server can serve. Runs nothing: what
only a run can tell is left to the host's own check."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass

from cartwheel.project.detect import entries_in
from cartwheel.project.modules import Function, Missing, Module, Modules, Served, Thing
from cartwheel.settings.entry import AppEntry
from cartwheel.settings.toml_tables import ServerKind

_MOST_NAMES = 5


@dataclass(frozen=True)
class Problem:
    """`is_kind`: the entry is right, and the server is of the other kind."""

    message: str
    is_kind: bool = False


def entry_problem(entry: AppEntry, modules: Modules, kind: ServerKind | None) -> Problem | None:
    """The mistake in the entry; None unless it is certain. `kind` is None if the server's is not
    known."""
    module = modules.get(entry.module)
    if module is None:
        message = _no_module(entry.module, modules)
        return Problem(message) if message else None
    thing = modules.thing(entry.module, entry.name)
    message = _wrong_name(entry, module, thing, modules) or _wrong_call(entry, thing)
    if message:
        return Problem(f"app.entry is {entry.text}: {message}")
    served = thing.makes if isinstance(thing, Function) and entry.call else thing
    if entry.is_plain and isinstance(served, Served):
        message = _wrong_kind(entry, served, kind)
    return Problem(message, is_kind=True) if message else None


def _no_module(name: str, modules: Modules) -> str:
    """A module that is missing from a package of the application; others may be a dependency's."""
    top = name.partition(".")[0]
    inside = [one for one in modules.modules if one.partition(".")[0] == top]
    if not inside or (top not in modules.modules and "." in name):
        return ""  # a package without __init__.py may have parts in several distributions
    likely = [one.entry for one in entries_in(modules)][:1]
    near = likely or difflib.get_close_matches(name, inside, 1) or inside[:1]
    return f"app.entry: the application has no module {name}; there is {near[0]}"


def _wrong_name(entry: AppEntry, module: Module, thing: Thing, modules: Modules) -> str:
    if not isinstance(thing, Missing):
        return ""
    likely = [one.entry.partition(":")[2] for one in entries_in(modules) if one.file == module.file]
    near = likely or difflib.get_close_matches(entry.name, thing.there, 1)
    there = near or [name for name in thing.there if not name.startswith("_")][:_MOST_NAMES]
    shown = f"; there is {', '.join(there)}" if there else ""
    return f"{module.file} has no {entry.name}{shown}"


def _wrong_call(entry: AppEntry, thing: Thing) -> str:
    if isinstance(thing, Served) and entry.call is not None and entry.is_plain:
        return f"{entry.name} is the application itself: write {entry.module}:{entry.name}"
    if not isinstance(thing, Function):
        return ""
    given = entry.call
    if given is None:
        is_factory = thing.makes is not None or not thing.is_application
        if not (is_factory and entry.is_plain):
            return ""
        needs = "" if thing.takes() else _required(thing.signature)
        return f"{entry.name} is a factory: write {entry.module}:{entry.name}({needs})"
    if thing.takes(*given.args, **dict.fromkeys(given.keywords)):
        return ""
    return f"{entry.name} does not take these arguments: it is {entry.name}{thing.signature}"


def _required(signature: inspect.Signature) -> str:
    """The names of the arguments that have no default."""
    return ", ".join(
        one.name
        for one in signature.parameters.values()
        if one.default is inspect.Parameter.empty
        and one.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    )


def _wrong_kind(entry: AppEntry, served: Served, kind: ServerKind | None) -> str:
    if kind is None or served.interface == ("wsgi" if kind == "wsgi" else "asgi"):
        return ""
    what = f"{served.framework} is" if served.framework else "it is"
    wanted = "asgi" if served.interface == "asgi" else "wsgi"
    return (
        f"app.entry is {entry.text}: {what} {served.interface.upper()}, but gunicorn serves"
        f' {"WSGI" if kind == "wsgi" else "ASGI"}: set gunicorn.kind = "{wanted}"'
    )
