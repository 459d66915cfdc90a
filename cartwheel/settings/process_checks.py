"""Checks of [processes]: combinations that do not work."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from cartwheel.host.wire.instance import WEB
from cartwheel.settings import command_words, formula
from cartwheel.settings.layers import Key, Problem, why_not
from cartwheel.settings.toml_tables import Process, Settings

_OF_WEB = frozenset({"roles", "env", "memory_max", "hardening"})


def problems(settings: Settings) -> Iterator[Problem]:
    """Every mistake in the processes, by the key of its setting."""
    for name, process in settings.processes.items():
        key: Key = ("processes", name)
        if name == WEB:
            for given in sorted(process.model_fields_set - _OF_WEB):
                known = ", ".join(sorted(_OF_WEB))
                yield (*key, given), f"is not a setting of web; it takes {known}"
            continue
        yield from _command(key, name, process)
        yield from _count(key, process)
        yield from _exclusive(key, process)


def _command(key: Key, name: str, process: Process) -> Iterator[Problem]:
    if process.command is None:
        near = difflib.get_close_matches(name, [WEB], 1)
        hint = f"; did you mean processes.{near[0]}?" if near else ""
        yield (*key, "command"), f"is missing: the program to run{hint}"
        return
    if wrong := why_not(command_words.parse, process.command):
        yield (*key, "command"), wrong


def _count(key: Key, process: Process) -> Iterator[Problem]:
    is_alone = process.exclusive or not process.overlap
    if is_alone and process.count != 1:
        setting = "exclusive" if process.exclusive else "overlap"
        yield (*key, "count"), f"must be 1, because {setting} means that it never runs twice"
    if isinstance(process.count, str) and (wrong := why_not(formula.check, process.count)):
        yield (*key, "count"), wrong


def _exclusive(key: Key, process: Process) -> Iterator[Problem]:
    if process.exclusive and process.overlap and "overlap" in process.model_fields_set:
        yield (*key, "overlap"), "is true, but an exclusive process never runs twice"
    if process.on is not None and not process.exclusive:
        yield (*key, "on"), "is the host of an exclusive process; set exclusive = true"
