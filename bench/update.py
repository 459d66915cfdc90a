"""How soon an update serves: Cartwheel compared with one shell script over one ssh connection.

Both start from a finished wheel, on the same host, with the same installer (pip, then uv), at 0
and 50 ms of round-trip time. The script keeps its virtual environment: it installs the new wheel
into it, restarts the service, and polls until the new version answers. The figures are the time
until the new version answers through nginx, the time until the command ends, the processor time
that the command takes on this machine, and the time of the same command once more with nothing
changed. All combinations alternate in every round, so that other work on the machine affects them
all; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import base64
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol

import uv

from cartwheel.events import silent
from cartwheel_lab import Lab, LabHost
from tests.kit.ending import clean_up_when_ended
from tests.kit.host import main_pids
from tests.kit.project import CHECKOUT, Project, new_project

DELAYS_MS = (0, 50)
SCRIPT_PORT = 8081
CARTWHEEL_PORT = 80
DEADLINE_SECONDS = 60.0

POLLER = """
import http.client, sys, time
port, version, end = int(sys.argv[1]), sys.argv[2], time.monotonic() + 60
while time.monotonic() < end:
    try:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        c.request("GET", "/healthz")
        if version.encode() in c.getresponse().read():
            print(time.monotonic()); break
    except (OSError, http.client.HTTPException):
        pass
    time.sleep(0.01)
"""

SCRIPT = """set -e
cd /srv/floor
base64 -d > {wheel} <<'WHEEL'
{payload}
WHEEL
{install} --no-deps {wheel}
systemctl restart floor
for attempt in $(seq 200); do
  if curl -s --max-time 5 http://127.0.0.1:{port}/healthz | grep -qF '"{version}"'; then exit 0; fi
  sleep 0.05
done
exit 1
"""

INSTALL = {
    "pip": "venv/bin/pip install -q --disable-pip-version-check",
    "uv": "uv pip install -q --python venv/bin/python",
}

UNIT = """[Service]
Type=notify
ExecStart=/srv/floor/venv/bin/gunicorn -w 5 -b unix:/srv/floor/http.sock hello:app
[Install]
WantedBy=multi-user.target
"""

SITE = """server {{ listen {port}; location / {{ proxy_pass http://unix:/srv/floor/http.sock; }} }}
"""


@dataclass(frozen=True)
class Figures:
    """Seconds of one side in one round."""

    serves: float
    ends: float
    unchanged: float
    cpu: float


MEANING = ("until it serves", "until it ends", "unchanged, until it ends", "operator's CPU")


class Side(Protocol):
    """One way to deploy a wheel to a host."""

    host: LabHost
    port: int

    def deploy(self, wheel: Path) -> None: ...


class Script:
    """One ssh connection, one shell script."""

    port = SCRIPT_PORT

    def __init__(self, host: LabHost, installer: str) -> None:
        self.host = host
        self.install = INSTALL[installer]

    def prepare(self, lock: str) -> None:
        """Create the script's environment with all packages of the lock, its unit and its site."""
        packages = "apt-get -qq update; apt-get -qq -y install python3-venv >/dev/null"
        self.host.sh(f"{packages}; mkdir /srv/floor; python3 -m venv /srv/floor/venv", timeout=300)
        self.host.path("/srv/floor/lock.txt").write_text(lock)
        self.host.sh(f"cd /srv/floor; {self.install} --require-hashes -r lock.txt", timeout=300)
        self.host.path("/etc/systemd/system/floor.service").write_text(UNIT)
        self.host.path("/etc/nginx/conf.d/floor.conf").write_text(SITE.format(port=SCRIPT_PORT))
        self.host.sh("systemctl daemon-reload; systemctl reload nginx")

    def deploy(self, wheel: Path) -> None:
        script = SCRIPT.format(
            wheel=wheel.name,
            payload=base64.b64encode(wheel.read_bytes()).decode(),
            install=self.install,
            port=SCRIPT_PORT,
            version=version_of(wheel),
        )
        command = self.host.ssh_command("sh", "-s")
        subprocess.run(command, input=script.encode(), check=True, capture_output=True)


class Cartwheel:
    """`fab deploy`, with Cartwheel's defaults."""

    port = CARTWHEEL_PORT

    def __init__(self, host: LabHost, installer: str, project: Project) -> None:
        self.host = host
        self.installer = installer
        self.project = project

    def deploy(self, wheel: Path) -> None:
        self.fab("deploy", wheel)

    def fab(self, task: str, wheel: Path) -> None:
        self.project.settings(
            f'[app]\nname = "hello"\nsource = "{wheel}"\nentry = "hello:app"\n'
            f'[gunicorn]\nworkers = 5\n[deploy]\ninstaller = "{self.installer}"\n'
        )
        self.project.fab(task, "-H", self.host.name)


def main() -> None:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--installer", choices=tuple(INSTALL), help="only this one")
    given = options.parse_args()
    installers = [given.installer] if given.installer else list(INSTALL)
    with tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch:
        folder = Path(scratch)
        wheels = [make_wheel(folder, number) for number in range(1 + len(DELAYS_MS) * given.rounds)]
        with lab_hosts(folder, len(installers)) as hosts:
            pairs = {
                installer: make_pair(host, installer, folder, wheels[0])
                for installer, host in zip(installers, hosts, strict=True)
            }
            show(measure(pairs, wheels[1:]))


def measure(
    pairs: dict[str, tuple[Script, Cartwheel]], wheels: list[Path]
) -> dict[tuple[str, int], list[tuple[Figures, Figures]]]:
    """For each installer and delay: a pair (script, Cartwheel) of figures for each round."""
    found: dict[tuple[str, int], list[tuple[Figures, Figures]]] = {}
    for number, wheel in enumerate(wheels):
        delay = DELAYS_MS[number % len(DELAYS_MS)]
        for installer, (script, cartwheel) in pairs.items():
            script.host.network(delay_ms=delay)
            figures = (one_round(script, wheel), one_round(cartwheel, wheel))
            found.setdefault((installer, delay), []).append(figures)
    return found


def one_round(side: Side, wheel: Path) -> Figures:
    """An update, and the same once more, which must not start anything in Cartwheel's case."""
    serves, ends, cpu = timed(side, wheel)
    before = main_pids(side.host, "hello")
    _, unchanged, _ = timed(side, wheel)
    if main_pids(side.host, "hello").items() - before.items():
        sys.exit("an unchanged deploy restarted something")
    return Figures(serves, ends, unchanged, cpu)


def timed(side: Side, wheel: Path) -> tuple[float, float, float]:
    """Seconds until the version of the wheel answers through nginx and until the command ends,
    and the processor time of the command here."""
    asking = [sys.executable, "-c", POLLER, str(side.port), f'"{version_of(wheel)}"']
    poller = side.host.popen_in_netns(asking, stdout=subprocess.PIPE)
    spent = cpu_of_children()
    started = time.monotonic()
    side.deploy(wheel)
    ended = time.monotonic()
    spent = cpu_of_children() - spent  # excludes the poller, which has not been waited for
    seen = poller.communicate(timeout=DEADLINE_SECONDS)[0].decode().strip()
    return float(seen) - started, ended - started, spent


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(found: dict[tuple[str, int], list[tuple[Figures, Figures]]]) -> None:
    """Print a table for each installer and delay: medians in seconds, and medians of the ratios."""
    for (installer, delay), rounds in sorted(found.items()):
        print(f"{installer}, round-trip time {delay} ms, medians of {len(rounds)}, seconds")
        print(f"  {'':24}  script  Cartwheel  Cartwheel / script")
        columns = zip(*(zip(*map(astuple, pair), strict=True) for pair in rounds), strict=True)
        for meaning, column in zip(MEANING, columns, strict=True):
            script, cartwheel = (statistics.median(side) for side in zip(*column, strict=True))
            ratio = statistics.median(ours / theirs for theirs, ours in column)
            print(f"  {meaning:24}  {script:6.2f}  {cartwheel:9.2f}  {ratio:18.2f}", flush=True)


@contextmanager
def lab_hosts(folder: Path, count: int) -> Iterator[list[LabHost]]:
    lab = Lab(folder / "lab", emit=silent)
    os.environ["CARTWHEEL_LAB_STATE"] = str(lab.state)
    try:
        yield lab.up(count=count)
    finally:
        lab.down()


def make_pair(host: LabHost, installer: str, folder: Path, wheel: Path) -> tuple[Script, Cartwheel]:
    """Both sides on one host, each serving the first wheel."""
    if installer == "uv":
        shutil.copy(uv.find_uv_bin(), host.path("/usr/local/bin/uv"))
    cartwheel = Cartwheel(host, installer, new_project(folder / installer))
    cartwheel.fab("setup", wheel)
    cartwheel.deploy(wheel)
    script = Script(host, installer)
    script.prepare(host.sh("cat /srv/hello/current/lock.txt"))
    script.deploy(wheel)
    return script, cartwheel


def make_wheel(folder: Path, number: int) -> Path:
    """The example with another version, so a change of code only."""
    source = folder / f"source-{number}"
    shutil.copytree(CHECKOUT / "examples" / "hello", source)
    pyproject = source / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('"1.0.0"', f'"1.0.{number}"'))
    target = folder / f"wheel-{number}"
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(target)]
    subprocess.run([*command, str(source)], check=True)
    return next(target.glob("*.whl"))


def version_of(wheel: Path) -> str:
    return wheel.name.split("-")[1]


if __name__ == "__main__":
    main()
