"""How soon an update serves: Cartwheel against one shell script over one ssh.

Both start from a wheel that is ready, on the same host, in turn, at 0 and 50 ms of
round-trip time, with the same installer. The script makes a virtual environment,
installs the lock and the wheel, and restarts the service. What counts is the time from
the start of the command to the first answer of the new version through nginx, and the
time until the command ends.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cartwheel import build
from cartwheel.build.model import Artifact, Lock, Platform
from cartwheel.events import silent
from cartwheel.lab import Lab, LabHost
from cartwheel.settings import load
from tests.ending import clean_up_when_ended

REPO = Path(__file__).resolve().parent.parent
DELAYS_MS = (0, 50)
FLOOR_PORT = 8081
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
python3 -m venv venv-{version}
venv-{version}/bin/pip install -q --disable-pip-version-check --require-hashes -r lock.txt
venv-{version}/bin/pip install -q --disable-pip-version-check --no-deps {wheel}
ln -sfn venv-{version} venv
systemctl restart floor
"""

UNIT = """[Service]
Type=notify
ExecStart=/srv/floor/venv/bin/gunicorn -w 5 -b unix:/srv/floor/http.sock hello:app
[Install]
WantedBy=multi-user.target
"""

SITE = """server {{ listen {port}; location / {{ proxy_pass http://unix:/srv/floor/http.sock; }} }}
"""


@dataclass(frozen=True)
class Taken:
    """Seconds from the start of the command."""

    serves: float
    ends: float


def main() -> None:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5, help="pairs for each delay")
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch:
        folder = Path(scratch)
        lab = Lab(folder / "lab", emit=silent)
        os.environ["CARTWHEEL_LAB_STATE"] = str(lab.state)
        try:
            run(lab.up(count=1)[0], folder, rounds)
        finally:
            lab.down()


def run(host: LabHost, folder: Path, rounds: int) -> None:
    project = make_project(folder)
    fab(project, "setup")
    lock = prepare_floor(host, project)
    count = 1 + len(DELAYS_MS) * rounds
    wheels = [make_wheel(project, number) for number in range(count)]
    cartwheel(host, project, wheels[0])
    floor(host, wheels[0], lock)
    number = 1
    medians: dict[tuple[str, int], float] = {}
    for delay in DELAYS_MS:
        host.network(delay_ms=delay)
        ours: list[Taken] = []
        theirs: list[Taken] = []
        for _ in range(rounds):
            theirs.append(floor(host, wheels[number], lock))
            ours.append(cartwheel(host, project, wheels[number]))
            number += 1
        unchanged = [repeat(host, project) for _ in range(rounds)]
        show(delay, ours, theirs, unchanged)
        medians["ends", delay] = statistics.median(one.ends for one in ours)
        medians["unchanged", delay] = statistics.median(unchanged)
    for what in ("ends", "unchanged"):
        trips = (medians[what, DELAYS_MS[1]] - medians[what, DELAYS_MS[0]]) / 0.05
        print(f"round trips by time, SSH handshake included ({what}): {trips:.1f}")


def show(delay: int, ours: list[Taken], theirs: list[Taken], unchanged: list[float]) -> None:
    def median(values: list[float]) -> float:
        return statistics.median(values)

    pairs = [a.serves / b.serves for a, b in zip(ours, theirs, strict=True)]
    same = median(unchanged) / median([one.ends for one in theirs])
    print(f"round-trip time {delay} ms, medians of {len(ours)}, seconds")
    print(f"  script     serves {median([t.serves for t in theirs]):.2f}")
    print(f"  script     ends   {median([t.ends for t in theirs]):.2f}")
    print(f"  cartwheel  serves {median([t.serves for t in ours]):.2f}")
    print(f"  cartwheel  ends   {median([t.ends for t in ours]):.2f}")
    print(f"  serves: cartwheel / script, pair by pair: median {median(pairs):.2f}")
    print(f"  unchanged  ends   {median(unchanged):.2f}, {same:.2f} of the script", flush=True)


def make_project(folder: Path) -> Path:
    project = folder / "project"
    (project / "config").mkdir(parents=True)
    fabfile = f"import sys\nsys.path.insert(0, {str(REPO)!r})\n"
    (project / "fabfile.py").write_text(fabfile + (REPO / "fabfile.py").read_text())
    write_settings(project, "hello-1.0.0-py3-none-any.whl")
    return project


def write_settings(project: Path, wheel: str) -> None:
    text = f'[app]\nname = "hello"\nsource = "{wheel}"\nentry = "hello:app"\n'
    (project / "config" / "deploy.toml").write_text(text + "[gunicorn]\nworkers = 5\n")


def make_wheel(project: Path, number: int) -> Artifact:
    """The example with another version: a change of code alone."""
    source = project / f"source-{number}"
    subprocess.run(["cp", "-r", str(REPO / "examples" / "hello"), str(source)], check=True)
    pyproject = source / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('"1.0.0"', f'"1.0.{number}"'))
    write_settings(project, str(source))
    return build.build_app(load(project, None, None), project, state=project / "state", emit=silent)


def prepare_floor(host: LabHost, project: Path) -> Lock:
    """What the script needs: venv with pip, a unit, a site; all made before the clock runs."""
    host.sh(
        "apt-get -qq update; apt-get -qq -y install python3-venv >/dev/null; mkdir -p /srv/floor",
        timeout=300,
    )
    host.path("/etc/systemd/system/floor.service").write_text(UNIT)
    host.path("/etc/nginx/conf.d/floor.conf").write_text(SITE.format(port=FLOOR_PORT))
    host.sh("systemctl daemon-reload; systemctl reload nginx")
    version = host.sh("python3 -c 'import platform; print(platform.python_version())'").strip()
    glibc = host.sh("getconf GNU_LIBC_VERSION").split()[1]
    platform = Platform(version, "glibc", glibc, os.uname().machine)
    artifact = make_wheel(project, 0)
    lock = build.lock_for(
        load(project, None, None), artifact, platform, project, state=project / "state", emit=silent
    )
    host.path("/srv/floor/lock.txt").write_text(lock.text)
    return lock


def floor(host: LabHost, artifact: Artifact, _lock: Lock) -> Taken:
    payload = base64.b64encode(artifact.wheel.read_bytes()).decode()
    script = SCRIPT.format(wheel=artifact.wheel.name, payload=payload, version=artifact.version)

    def command() -> None:
        subprocess.run(
            host.ssh_command("sh", "-s"), input=script.encode(), check=True, capture_output=True
        )

    return timed(host, FLOOR_PORT, artifact.version, command)


def cartwheel(host: LabHost, project: Path, artifact: Artifact) -> Taken:
    write_settings(project, str(artifact.wheel))
    return timed(host, 80, artifact.version, lambda: fab(project, "deploy"))


def timed(host: LabHost, port: int, version: str, command: Callable[[], None]) -> Taken:
    """Run the command while a poller on the host waits for the new version."""
    poller = host.popen_in_netns(
        [sys.executable, "-c", POLLER, str(port), f'"{version}"'], stdout=subprocess.PIPE
    )
    started = time.monotonic()
    command()
    ended = time.monotonic()
    seen = poller.communicate(timeout=DEADLINE_SECONDS)[0].decode().strip()
    return Taken(float(seen) - started, ended - started)


def repeat(host: LabHost, project: Path) -> float:
    """An unchanged deploy; it must leave the unit's main PID as it was."""
    before = main_pids(host)
    started = time.monotonic()
    fab(project, "deploy")
    taken = time.monotonic() - started
    if main_pids(host) != before:
        sys.exit("an unchanged deploy restarted something")
    return taken


def main_pids(host: LabHost) -> str:
    return host.sh("systemctl show -p MainPID 'cartwheel-hello.web*'")


def fab(project: Path, task: str) -> None:
    program = Path(sys.executable).with_name("fab")
    done = subprocess.run(
        [str(program), task, "-H", "lab1"], cwd=project, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"fab {task}: exit {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
