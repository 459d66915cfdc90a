"""What a release is made of, from its own records; of values only their keyed digests."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from cartwheel.host.watch.timers import Table, table
from cartwheel.host.watch.units import text_of

APART_SECONDS = 2.0
"""A look begins at a whole second, and the times of files are a little late."""
_MOST_NAMES = 2000
_MOST_CHARACTERS = 300
_LOCK_BYTES = 4 << 20
_INSTALLED = re.compile(r"([^-]+)-([^-]+)\.dist-info")
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_START = re.compile(r"^ExecStart=.*$", re.MULTILINE)
_HEX = 8
_BETWEEN = re.compile(r"[-_.]+")


def look(folder: str, manifest: Table, units: str) -> Table:
    """The fields of `wire.look.ReleaseLook`. `units`: how the paths of the app's units begin. What
    cannot be read is left out."""
    python, release = manifest.get("python"), os.path.basename(folder)
    told: Table = {
        name: _short(manifest.get(name))
        for name in ("release", "version", "commit", "created", "who", "message")
    }
    return {
        **told,
        "python": _short(python.get("version")) if isinstance(python, dict) else "",
        "packages": _first(_packages(folder, manifest)),
        "settings": _first(_texts(table(_settings(folder)))),
        "variables": _first(_digests(manifest.get("env"))),
        "files": _first(_digests(manifest.get("placed"))),
        "processes": _first(
            (name, f"{how}{_command(f'{units}.{name}.{release}@.service', release)}")
            for name, how in _declared(manifest.get("processes"), ("program", "starts"))
        ),
        "timers": _first(
            (name, f"{when}{_command(f'{units}_job.{name}.{release}.service', release)}")
            for name, when in _declared(manifest.get("timers"), ("schedule", "zone"))
        ),
    }


def noted_at(folder: str) -> float | None:
    """When the settings were noted; None where they were not."""
    try:
        return os.stat(_settings(folder)).st_mtime
    except OSError:
        return None


def _settings(folder: str) -> str:
    return f"{folder}/settings.json"


def _packages(folder: str, manifest: Table) -> Iterator[tuple[str, str]]:
    """What is installed; of a release of an earlier version, which did not list it, its lock."""
    names = manifest.get("packages")
    for name in names if isinstance(names, list) else []:
        found = _INSTALLED.fullmatch(str(name))
        if found is not None:
            yield _normal(found[1]), found[2]
    if not names:
        for pin in _PIN.finditer(text_of(f"{folder}/lock.txt", _LOCK_BYTES)):
            yield _normal(pin[1]), pin[2]


def _normal(name: str) -> str:
    return _BETWEEN.sub("-", name).lower()


def _texts(found: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield from ((name, value) for name, value in found.items() if isinstance(value, str))


def _digests(found: object) -> Iterator[tuple[str, str]]:
    for name, one in found.items() if isinstance(found, dict) else ():
        if isinstance(one, dict):
            yield name, str(one.get("digest", ""))


def _declared(found: object, fields: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, one in found.items() if isinstance(found, dict) else ():
        if isinstance(one, dict) and _NAME.fullmatch(name):
            yield name, " ".join(str(one[field]) for field in fields if one.get(field))


def _command(unit: str, release: str) -> str:
    """What tells a command from another one, and does not say what it is."""
    import hashlib  # late: it takes long, and is needed once for a release

    command = _START.findall(text_of(unit))
    text = "".join(command).replace(release, "")
    return f" #{hashlib.sha256(text.encode()).hexdigest()[:_HEX]}" if command else ""


def _first(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first names: one release must not fill the whole answer."""
    found = sorted(pairs)[:_MOST_NAMES]
    return {_short(name): _short(value) for name, value in found}


def _short(text: object) -> str:
    return text[:_MOST_CHARACTERS] if isinstance(text, str) else ""
