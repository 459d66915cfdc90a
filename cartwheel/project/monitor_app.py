"""The monitor as an application: its sources and settings. They travel with Cartwheel."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel import places
from cartwheel.settings import monitor_page
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.decoded import Fields

NAME = "cartwheel-monitor"
ROLE = "monitor"
"""The role of the host that has the monitor."""
PROGRAM = "python -m cartwheel_monitor"

# No host has this role: a monitor without a name for its page has none.
_NO_ROLE = "cartwheel-monitor-page"
_STOP_SECONDS = 20.0
_LOGINS = "30/m"  # of one client, its failures among them


def settings_for(project: Settings, source: Path) -> Settings:
    """The monitor's settings: its page, and how a project reaches hosts and indexes."""
    page = project.monitor.page
    ours: Fields = {
        "app": {
            "name": NAME,
            "source": str(source),
            "entry": "cartwheel_monitor.web:app",
            "roles": [ROLE if page else _NO_ROLE],
        },
        "web": {
            "server": project.web.server,
            "server_names": [page] if page else [],
            "paths": {"/login": {"rate_limit": _LOGINS}},
        },
        "gunicorn": {"workers": 2, "threads": 4},
        "tls": monitor_page.tls(project).model_dump(exclude_unset=True),
        "tests": {"skip": True},
        "processes": {
            "watcher": {
                "command": f"{PROGRAM} watch",
                "roles": [ROLE],
                "exclusive": True,
                "stop_seconds": _STOP_SECONDS,
                "ready_seconds": 3,
            }
        },
    }
    shared = project.model_dump(include={"index", "ssh"})
    shared["host"] = {"base": project.host.base}
    shared["deploy"] = {"installer": project.deploy.installer}
    return Settings.model_validate({**shared, **ours})


def sources(cache: Path) -> Path:
    """A folder with the monitor's sources, and the records that it shares with Cartwheel's host
    side. It is in the user's cache, named by its content."""
    found = {target: source.read_bytes() for source, target in _files()}
    digest = hashlib.sha256()
    for target, data in sorted(found.items()):
        digest.update(f"{target} {len(data)}\n".encode() + data)
    folder = cache / f"monitor-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as made:
        new = Path(made) / "new"
        for target, data in found.items():
            place = new / target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        with suppress(OSError):  # another run was quicker
            new.rename(folder)
    return folder


def _files() -> Iterator[tuple[Path, str]]:
    own, host = places.own("monitor"), places.host_source()
    yield own / "requirements.txt", "requirements.txt"
    for path in sorted((own / "cartwheel_monitor").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path, str(path.relative_to(own))
    yield host.parent / "__init__.py", "cartwheel/__init__.py"
    yield host / "__init__.py", "cartwheel/host/__init__.py"
    for path in sorted((host / "wire").glob("*.py")):
        yield path, f"cartwheel/host/wire/{path.name}"
