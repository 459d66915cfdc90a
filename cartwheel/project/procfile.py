"""What a Procfile starts beside web, and app.json at certain times."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from cartwheel.project.proposal import BEAT, CELERY, Proposal, Timer, as_name, named
from cartwheel.settings.toml_tables import NAME_CHARACTERS

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*?)\s*")
_SCRIPT = re.compile(r"(python[0-9.]*(?: -u)?) (?:\./)?([\w-][\w./-]*\.py)(?=\s|$)")
# The name of a Celery worker: two of one name confuse each other.
_NODE = re.compile(r"(\s(?:-n|--hostname)[\s=])([\w%.-]+)(?:@[\w%.-]+)?(?=\s|$)")
_WEB, _RELEASE = "web", "release"
# Words of a command that say nothing about its job, and those whose next word says nothing.
_RUNNER = re.compile(
    r"python[\d.]*|flask|django-admin|manage|celery|call|uvx?|poetry|pdm|pipenv|hatch|run|env|exec"
    r"|sh|bash|timeout|nice"
)
_VALUED = frozenset({"-A", "--app", "-e", "--env-file", "cd"})


@dataclass(frozen=True)
class Procfile:
    """`release` is a shell command for deploy.migrate; "" if there is none."""

    release: str = ""
    processes: tuple[Proposal, ...] = ()


def read(text: str, files: Collection[str], folder: str = ".") -> Procfile:
    """The lines of a Procfile. `files` are the sources, relative to the installed code; `folder` is
    the application's, relative to the Procfile."""
    release, found = "", {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (matched := _LINE.fullmatch(line.strip())):
            continue
        name, command = as_name(matched[1]), _from_inside(matched[2], folder)
        if name == _RELEASE:
            release = f'cd "$CARTWHEEL_CODE" && {command}'
        elif name and name != _WEB:
            found[name] = _fitting(Proposal(name, command, f"Procfile:{number}"), files)
    return Procfile(release, tuple(found.values()))


def _from_inside(command: str, folder: str) -> str:
    """The command without a `cd` into the application's own folder."""
    return re.sub(rf"^cd (?:\./)?{re.escape(folder)}/?\s*(?:&&|;)\s*", "", command)


def _fitting(one: Proposal, files: Collection[str]) -> Proposal:
    """The same process where the working directory is not that of the code, and where two releases
    run at once."""
    if one.problem:
        return one
    command = _placed(one.command, files)
    words = command.split()
    if CELERY in one.kinds and _has(words, "-n", "--hostname"):
        command = _NODE.sub(r"\1\2@$CARTWHEEL_INSTANCE", command, count=1)
    elif CELERY in one.kinds:
        command += f" {named(one.name)}"
    elif one.kinds == {BEAT} and not _has(words, "--pidfile"):
        command += " --pidfile="
    return replace(one, command=command)


def _placed(command: str, files: Collection[str]) -> str:
    return _SCRIPT.sub(lambda found: _installed(found, files), command, count=1)


def _installed(found: re.Match[str], files: Collection[str]) -> str:
    """A script of the sources, with its place on a host: without the folder that is on the import
    path."""
    path = PurePosixPath(found[2])
    inside = [str(path), *("/".join(path.parts[number:]) for number in range(1, len(path.parts)))]
    return f"{found[1]} $CARTWHEEL_CODE/{next((one for one in inside if one in files), path)}"


def _has(words: Collection[str], *options: str) -> bool:
    return any(word.startswith(options) for word in words)


@dataclass(frozen=True)
class Cron:
    """The cron of an app.json. `notes` say what could not become a timer, or changes as one."""

    timers: tuple[Timer, ...] = ()
    notes: tuple[str, ...] = ()


def cron(
    text: str, processes: Collection[Proposal], files: Collection[str], folder: str = "."
) -> Cron:
    """What Dokku reads in an app.json; "" is none. A command may also be the name of one of the
    Procfile's `processes`."""
    known = {one.name: one.command for one in processes}
    timers: dict[str, Timer] = {}
    notes: list[str] = []
    for number, line in enumerate(_cron_lines(text, notes), 1):
        said = line if isinstance(line, dict) else {}
        command, schedule = said.get("command"), said.get("schedule")
        if not isinstance(command, str) or not isinstance(schedule, str):
            notes.append(f"app.json: entry {number} of cron has no command and schedule: no timer")
            continue
        inside = known.get(as_name(command)) or _from_inside(command, folder)
        name = _free(_job(command), timers)
        one = Timer(name, inside, "app.json", " ".join(schedule.split()))
        fitting = one.command if one.problem else _placed(one.command, files)
        timers[name] = replace(one, command=fitting, suspended=said.get("maintenance") is True)
        if said.get("concurrency_policy", "forbid") != "forbid":
            notes.append(
                f"app.json: {name} has a concurrency_policy; runs of a timer never overlap"
            )
    return Cron(tuple(timers.values()), tuple(notes))


def _cron_lines(text: str, notes: list[str]) -> list[object]:
    try:
        about = json.loads(text or "{}")
        json.dumps(about, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # half a character is a ValueError too
        notes.append(f"app.json is not valid JSON ({error}): no timers of its cron")
        return []
    lines = about.get("cron", []) if isinstance(about, dict) else []
    if isinstance(lines, list):
        return lines
    notes.append("app.json: cron is no list: no timers")
    return []


def _job(command: str) -> str:
    """A name for what a command does."""
    words = iter(command.split())
    for word in words:
        if word in _VALUED:
            next(words, None)
        elif not word.startswith("-") and "=" not in word:
            stem = re.sub(r"\.(py|sh)$", "", PurePosixPath(word.strip("'\"")).name)
            name = as_name(stem.rpartition(".")[2])
            if name and not _RUNNER.fullmatch(stem):
                return name
    return "job"


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number if it is taken."""
    ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    names = (name[: NAME_CHARACTERS - len(end)].rstrip("-") + end for end in ends)
    return next(one for one in names if one not in taken)
