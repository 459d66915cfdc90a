"""Names that options take, for the completion of a command line: nothing here connects, or starts a
program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cartwheel import places
from cartwheel.errors import CATALOGUE, CartwheelError
from cartwheel.host.wire.instance import WEB
from cartwheel.settings.hosts import Host

_RUNS = 50  # whose releases are offered


def values(project: Path, option: str, words: Sequence[str]) -> list[str]:
    """The values of an option; `words` are the command line so far. Empty if the option is not one
    of these, or if the settings have mistakes."""
    found = _VALUES.get(option)
    if found is None:
        return []
    with suppress(CartwheelError, OSError):
        return list(found(project, _chosen(words, "--app"), _chosen(words, "--env")))
    return []


def _chosen(words: Sequence[str], option: str) -> str | None:
    text = " ".join(words).replace(" = ", "=").replace(f"{option}=", f"{option} ").split()
    return text[text.index(option) + 1] if option in text[:-2] else None


def _apps(project: Path, _app: str | None, _env: str | None) -> list[str]:
    from cartwheel.settings.loading import apps

    return apps(project)


def _environments(project: Path, _app: str | None, _env: str | None) -> list[str]:
    from cartwheel.settings.loading import environments

    return environments(project)


def _hosts(project: Path, app: str | None, env: str | None) -> Iterator[str]:
    from cartwheel.inventory.lab import lab_hosts

    yield from (host.name for host in _inventory(project, app, env))
    yield from lab_hosts(project)


def _inventory(project: Path, app: str | None, env: str | None) -> Sequence[Host]:
    from cartwheel.inventory.gather import gather
    from cartwheel.settings.loading import load_placed

    with suppress(CartwheelError):
        placed = load_placed(project, app, env)
        without = placed.settings.inventory.model_copy(update={"command": None})
        settings = placed.settings.model_copy(update={"inventory": without})
        return gather(settings, project, placed.place, None)
    return ()


def _roles(project: Path, app: str | None, env: str | None) -> list[str]:
    return sorted({role for host in _inventory(project, app, env) for role in host.roles})


def _names(project: Path, app: str | None, env: str | None) -> list[str]:
    hosts = _inventory(project, app, env)
    return sorted({group for host in hosts for group in host.groups}) + [one.name for one in hosts]


def _releases(project: Path, app: str | None, env: str | None) -> Iterator[str]:
    """Those that runs from this machine made live, the newest first."""
    from cartwheel.runs.read import newest
    from cartwheel.settings.loading import load

    settings = load(project, app, env)
    for run in newest(places.runs_dir(), _RUNS):
        about = (run.about.get("app"), run.about.get("environment"))
        if run.result is not None and about == (settings.app.name, settings.environment):
            for host in run.result.get("hosts") or []:
                yield from (host[name] for name in ("serves", "before") if host.get(name))


def _runs(_project: Path, _app: str | None, _env: str | None) -> list[str]:
    from cartwheel.runs.read import LAST, newest

    return [LAST, *(run.name for run in newest(places.runs_dir(), _RUNS))]


def _sources(_project: Path, _app: str | None, _env: str | None) -> Sequence[str]:
    from cartwheel.host.look.logs import sources
    from cartwheel.host.web.kinds import KINDS

    return sources(*KINDS)


def _processes(project: Path, app: str | None, env: str | None) -> list[str]:
    from cartwheel.settings.loading import load

    return [name for name in load(project, app, env).processes if name != WEB]


def _with_web(project: Path, app: str | None, env: str | None) -> list[str]:
    return [WEB, *_processes(project, app, env)]


def _numbers(_project: Path, _app: str | None, _env: str | None) -> list[str]:
    """Of errors, for `explain`."""
    return [f"CW{number}" for number in sorted(one.number for one in CATALOGUE.values())]


_VALUES: dict[str, Callable[[Path, str | None, str | None], Iterator[str] | Sequence[str]]] = {
    "app": _apps,
    "env": _environments,
    "hosts": _hosts,
    "role": _roles,
    "limit": _names,
    "exclude": _names,
    "to": _releases,
    "release": _releases,
    "run": _runs,
    "source": _sources,
    "name": _processes,
    "process": _with_web,
    "words": _numbers,
}
