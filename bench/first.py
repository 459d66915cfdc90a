"""How long a first deploy takes until it serves, with pip and with uv.

Each round of each installer starts with a host that never had Cartwheel: no installer, no
downloads, no release. `fab setup` prepares it. Then `fab deploy` of a finished wheel is measured:
the time until it serves through nginx, the time until the command ends, and the processor time that
it takes on the host, which other work affects least. Installers alternate. `--other FOLDER` also
measures another checkout, whose uv is then on the host already.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uv

from bench.update import Cartwheel, lab_hosts, make_wheel, timed
from cartwheel_lab import LabHost
from tests.kit.ending import clean_up_when_ended
from tests.kit.project import fabfile, new_project

INSTALLERS = ("pip", "uv")


def main() -> None:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--other", type=Path, help="another checkout, to compare")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch:
        folder = Path(scratch)
        wheel = make_wheel(folder, 0)
        with lab_hosts(folder, 1) as [host]:
            shutil.copy(uv.find_uv_bin(), host.path("/usr/local/bin/uv"))
            sides = {name: _side(host, name, folder / name, None) for name in INSTALLERS}
            if given.other:
                for name in INSTALLERS:
                    label = f"{name}, other"
                    sides[label] = _side(host, name, folder / label, given.other)
            for side in sides.values():  # fill the caches of this machine
                _one(side, wheel)
            rounds = [
                {name: _one(one, wheel) for name, one in sides.items()} for _ in range(given.rounds)
            ]
    print(f"a first deploy, seconds, medians of {given.rounds}:")
    print("  setup; until it serves; until the command ends; the host's processor time until then")
    for name in sides:
        figures = zip(*(one[name] for one in rounds), strict=True)
        print(f"  {name:12}" + "".join(f"  {statistics.median(one):5.2f}" for one in figures))


def _side(host: LabHost, installer: str, folder: Path, other: Path | None) -> Cartwheel:
    side = Cartwheel(host, installer, new_project(folder))
    if other is not None:
        side.project.write("fabfile.py", fabfile(other.resolve()))
    return side


def _one(side: Cartwheel, wheel: Path) -> Sequence[float]:
    """The figures of a setup and a deploy; afterwards the host is reset."""
    started = time.monotonic()
    side.fab("setup", wheel)
    seconds = time.monotonic() - started
    spent = _processor_seconds(side.host)
    serves, ends, _cpu = timed(side, wheel)
    spent = _processor_seconds(side.host) - spent
    side.project.fab("uninstall", "-H", side.host.name, "--yes")
    return seconds, serves, ends, spent


def _processor_seconds(host: LabHost) -> float:
    """The processor time of all processes that ever ran on it (cgroups(7), `cpu.stat`)."""
    [used] = host.sh("sed -n 's/^usage_usec //p' /sys/fs/cgroup/cpu.stat").split()
    return int(used) / 1e6


if __name__ == "__main__":
    main()
