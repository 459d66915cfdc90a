"""`fab setup`: prepare bare hosts. Also brings Python to a host that has none."""

from __future__ import annotations

from typing import Any

from cartwheel.errors import CartwheelError, HostError
from cartwheel.events import Event
from cartwheel.fleet.deploy import lock_all
from cartwheel.fleet.sessions import Result, successes
from cartwheel.plan import names
from cartwheel.run.deploy import PROBE_SECONDS, probe_args
from cartwheel.run.rendering import host_files
from cartwheel.run.scene import Scene, connect, raise_failures, raise_held, targets

_SETUP_SECONDS = 1800.0
_BOOTSTRAP_SECONDS = 900.0

# The one thing that is done on a host without the host side: it has no Python yet.
_BOOTSTRAP = b"""set -eu
if ! command -v apt-get >/dev/null; then
    echo "only apt is supported so far" >&2
    exit 3
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y -o DPkg::Lock::Timeout=120 update
apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends install python3
"""


def setup(scene: Scene) -> dict[str, Result[dict[str, Any]]]:
    """Prepare every host; what changed, or why not, by host."""
    for host in without_python(scene):
        bootstrap(scene, host)
    args = {
        **scene.base_args,
        "user": names.user(scene.settings),
        "group": names.group(scene.settings),
        "python": scene.settings.app.python,
        "packages": list(scene.settings.host.packages),
        "listen": scene.settings.web.listen,
        "host_files": host_files(scene),
    }
    with connect(scene, changing=False) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        return fleet.ask("setup", args, deadline_seconds=_SETUP_SECONDS)


def without_python(scene: Scene) -> list[str]:
    """The hosts where the host side cannot even start for want of Python.

    Raises what else keeps a host from answering, and HostError("held") where one is frozen:
    a fleet is refused before the first of its hosts is changed.
    """
    with connect(scene, changing=False) as fleet:
        answers = fleet.ask("probe", probe_args(scene), deadline_seconds=PROBE_SECONDS)
    known = scene.settings.ssh.python == "python3"  # another path is the user's own
    missing = [
        host
        for host, answer in answers.items()
        if known and isinstance(answer, CartwheelError) and answer.slug == "no-python"
    ]
    raise_failures({host: one for host, one in answers.items() if host not in missing})
    raise_held({host: one["app"]["freeze"] for host, one in successes(answers).items()})
    return missing


def bootstrap(scene: Scene, host: str) -> None:
    """Install Python over plain ssh. Raises HostError("packages")."""
    from cartwheel.ssh.connection import Gateways, StrictConnection
    from cartwheel.ssh.execute import run_script

    connection = StrictConnection(targets(scene)[host], Gateways())
    try:
        done = run_script(
            connection,
            _BOOTSTRAP,
            on_line=lambda line: scene.emit(Event("python", "progress", line, host)),
            deadline_seconds=_BOOTSTRAP_SECONDS,
        )
    finally:
        connection.close()
    if done.status != 0:
        raise HostError("packages", "Python could not be installed", host=host, detail=done.tail)
    scene.emit(Event("python", "changed", "installed Python", host))
