"""Count what a lab host has: processes, units, open files, mounts, disk, memory.

It reads them from outside, through the host's PID 1, so that it starts nothing on the host (except
systemctl, for the units).
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cartwheel_lab import LabHost

# The units of a login end some seconds after the person has logged out.
_SETTLED_SECONDS = 40.0
_LOOKS, _BETWEEN_SECONDS = 4, 0.25
_PASSING_UNITS = "'session-*' 'user@*' 'user-runtime-dir@*' 'cartwheel-session-*'"

# journald limits its own files (SystemMaxUse), and maps as much of them as it likes. An
# application's history grows by its lines, see host/state/journal.py.
_PLACES = (
    *("etc", "run", "tmp", "var/tmp", "root", "home"),
    *("var/log/cartwheel", "var/lib/cartwheel", "usr/local/lib/cartwheel"),
)
_LEFT_OUT = ("run/log", "run/udev", "run/systemd/journal")
JOURNALD = "systemd-journald.service"


@dataclass(frozen=True)
class Census:
    """Counts by name; memory and disk in bytes. The names contain no release."""

    processes: Counter[str]  # by unit and program
    units: Counter[str]  # all that systemd has in memory, also failed and inactive ones
    open_files: Counter[str]  # by unit
    mounts: int  # in all mount namespaces
    disk: dict[str, int]  # by place
    files: dict[str, int]  # by place: inodes in use
    # By unit: the resident memory of its processes (RSS; PSS would shrink when another host on
    # this machine runs the same programs).
    memory: Counter[str]
    releases: frozenset[str]
    history_lines: int


def of(host: LabHost, app: str) -> Census:
    """Everything on the host, after waiting for what ends by itself."""
    _await_quiet(host)
    places = (f"srv/{app}", *_PLACES)
    history = host.path(f"/srv/{app}/journal.jsonl")
    root = host.path("/")
    sizes = {f"/{place}": _disk(root, place, besides=history) for place in places}
    processes = [
        (one, _unit_of(one)) for one in _processes(host.path("/proc")) if (one / "exe").is_symlink()
    ]
    return Census(
        processes=Counter(f"{unit} {_program(one)}" for one, unit in processes),
        units=Counter(_units(host)),
        open_files=_all_open_files(processes),
        mounts=sum({_namespace(one): _mounts(one) for one, _ in processes}.values()),
        disk={place: size for place, (size, _) in sizes.items()},
        files={place: count for place, (_, count) in sizes.items()},
        memory=_sum((unit, _memory(one)) for one, unit in processes),
        releases=frozenset(one.name for one in (root / f"srv/{app}/releases").iterdir()),
        history_lines=len(history.read_bytes().splitlines()),
    )


def _await_quiet(host: LabHost) -> None:
    end = time.monotonic() + _SETTLED_SECONDS
    listing = "systemctl list-units --all --plain --no-legend"
    ending = "--state=deactivating 'cartwheel-*'"  # an instance with its last requests
    while host.sh(f"{listing} {_PASSING_UNITS}; {listing} {ending}"):
        if time.monotonic() > end:
            return  # count what is still there
        time.sleep(0.2)


def _nameless(text: str) -> str:
    """`cartwheel-shop.web.1.2.service` -> `cartwheel-shop.web.*.service`: the unit's name without
    release and slot."""
    return re.sub(
        r"^(cartwheel-[^.]+(?:\.[^.]+)*?\.web)(?:-b)?\.\d.*\.service$", r"\1.*.service", text
    )


def _units(host: LabHost) -> Iterator[str]:
    text = host.sh("systemctl list-units --all --plain --no-legend")
    for line in text.splitlines():
        unit, _loaded, active, *_ = line.split()
        yield f"{_nameless(unit)} {active}"


def _processes(proc: Path) -> list[Path]:
    return [one for one in proc.iterdir() if one.name.isdigit()]


def _unit_of(process: Path) -> str:
    with suppress(OSError):
        groups = (process / "cgroup").read_text().splitlines()
        unified = next((line for line in groups if line.startswith("0::")), groups[-1])
        return _nameless(unified.rsplit("/", 1)[-1])
    return "?"


def _program(process: Path) -> str:
    with suppress(OSError):
        return (process / "comm").read_text().strip()
    return "?"


def _all_open_files(processes: list[tuple[Path, str]]) -> Counter[str]:
    """The least of some looks: PID 1 keeps the connection of a `systemctl` for a moment longer."""
    looks = []
    for _ in range(_LOOKS):
        time.sleep(_BETWEEN_SECONDS)
        looks.append(_sum((unit, _open_files(one)) for one, unit in processes))
    return min(looks, key=Counter.total)


def _open_files(process: Path) -> int:
    with suppress(OSError):
        return sum(1 for _ in (process / "fd").iterdir())
    return 0


def _namespace(process: Path) -> str:
    with suppress(OSError):
        return str((process / "ns" / "mnt").readlink())
    return "?"


def _mounts(process: Path) -> int:
    with suppress(OSError):
        return len((process / "mountinfo").read_text().splitlines())
    return 0


def _memory(process: Path) -> int:
    with suppress(OSError):
        text = (process / "smaps_rollup").read_text()
        found = re.search(r"^Rss:\s+(\d+) kB$", text, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def _disk(root: Path, place: str, besides: Path) -> tuple[int, int]:
    """Bytes and inodes below a place; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for folder, folders, names in os.walk(root / place):
        here = Path(folder)
        folders[:] = [f for f in folders if str((here / f).relative_to(root)) not in _LEFT_OUT]
        for path in (here, *(here / name for name in names)):
            if path == besides:
                continue
            with suppress(OSError):
                found = path.lstat()
                seen[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(seen.values()), len(seen)


def _sum(pairs: Iterator[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for name, count in pairs:
        total[name] += count
    return total
