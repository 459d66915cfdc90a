"""The variables of a release's processes, as in their units."""

from __future__ import annotations

import socket
from typing import Dict

from cartwheel.host.layout import Layout
from cartwheel.host.state import record
from cartwheel.host.system import children, envfile
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.instance import Instance


def of_release(at: Layout, release: str) -> Dict[str, str]:
    """The variables of a release, with its virtual environment first in PATH. Raises
    OpError("not-whole")."""
    folder = at.release(release)
    values = variables(at, release)
    base = children.clean_environment()
    return {
        **base,
        "CARTWHEEL_APP": at.app,
        "CARTWHEEL_RELEASE": release,
        "CARTWHEEL_CODE": str(at.packages(release)),
        "CARTWHEEL_SHARED": str(at.shared),
        **values,
        "PATH": f"{folder}/venv/bin:" + values.get("PATH", base["PATH"]),
        "VIRTUAL_ENV": str(folder / "venv"),
        "HOME": str(at.shared),
    }


def of_instance(at: Layout, one: Instance) -> Dict[str, str]:
    """The variables of one instance of a process, with the process's own."""
    own = at.release(one.release) / f"{one.process}.env"
    host = socket.gethostname().partition(".")[0]
    return {
        **of_release(at, one.release),
        **(envfile.parse(own.read_text(encoding="utf-8")) if own.is_file() else {}),
        "CARTWHEEL_PROCESS": one.process,
        "CARTWHEEL_INSTANCE": f"{host}-{one.process}-{one.release}-{one.label}",
    }


def variables(at: Layout, release: str) -> Dict[str, str]:
    """The release's own variables. Raises OpError("not-whole")."""
    try:
        return envfile.parse((at.release(release) / "env").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        what = f"{release} is damaged: env is missing or damaged"
        raise OpError("not-whole", what) from error


def app_user(at: Layout) -> str:
    return record.needed(at).user
