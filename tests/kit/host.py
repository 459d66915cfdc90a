"""Read the state of a host without Cartwheel."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

from cartwheel_lab import LabHost


def get(host: LabHost, path: str = "/", name: str = "localhost", timeout: float = 10) -> str:
    """The answer of the host's web server to a visitor outside. Raises unless it is a 200."""
    request = urllib.request.Request(host.url(path), headers={"Host": name})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        body: bytes = answer.read()
    return body.decode()


def status(host: LabHost, path: str = "/", name: str = "localhost") -> int:
    """The HTTP status of the host's web server."""
    request = urllib.request.Request(host.url(path), headers={"Host": name})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def current(host: LabHost, app: str) -> str:
    """The live release."""
    return host.sh(f"basename $(readlink /srv/{app}/current)").strip()


def releases(host: LabHost, app: str) -> set[str]:
    return set(host.sh(f"ls /srv/{app}/releases").split())


def journal(host: LabHost, app: str) -> list[dict[str, Any]]:
    lines = host.sh(f"cat /srv/{app}/journal.jsonl").splitlines()
    return [json.loads(line) for line in lines]


def main_pids(host: LabHost, app: str) -> dict[str, int]:
    """The running instances of exactly this application, except those that were asked to end:
    unit -> main PID in the host."""
    text = host.sh(
        "systemctl show --property=Id,MainPID,ActiveState 'cartwheel-*.web*.service' || true"
    )
    ours = re.compile(rf"cartwheel-{re.escape(app)}\.web(-[b-d])?\.\d")
    found = {}
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        unit, pid = values.get("Id", ""), int(values.get("MainPID", "0"))
        if ours.match(unit) and pid and values["ActiveState"] != "deactivating":
            found[unit] = pid
    return found


def instance_unit(host: LabHost, app: str) -> str:
    """The unit that should serve, according to the links."""
    link = host.sh(f"readlink /srv/{app}/current/http.sock").strip()
    *_, release, slot, _socket = link.split("/")
    return f"cartwheel-{app}.web.{release}@{slot}.service"


def await_sessions(host: LabHost, seconds: float = 20.0, units: str = "cartwheel-session*") -> None:
    """Wait until the host side has ended, which may take longer than `fab`. A session that changes
    nothing has no unit."""
    until = time.monotonic() + seconds
    there = (
        f"systemctl list-units --all --plain --no-legend '{units}'; pgrep -f '[p]ython3 -I -c' ||:"
    )
    while host.sh(there):
        assert time.monotonic() < until, "a session of the host side does not end"
        time.sleep(0.1)


def await_ends(host: LabHost, app: str, seconds: int = 90) -> None:
    """Wait until every instance that was asked to end has ended."""
    host.sh(
        f"timeout {seconds} sh -c 'while systemctl list-units --all --plain --no-legend"
        f' "cartwheel-{app}.*web*.service" | grep -q deactivating; do sleep 0.2; done\'',
        timeout=seconds + 10,
    )


def footprint(host: LabHost, *roots: str, contents: bool = True) -> set[str]:
    """Every file below `roots`: kind, mode, owner, target, and its digest, one string each."""
    find = f"find {' '.join(roots)} -xdev"
    lines = host.sh(f"{find} -printf '%y %m %u:%g %p -> %l\\n' 2>/dev/null || true").splitlines()
    if contents:
        sums = f"{find} -type f -exec sha256sum {{}} + 2>/dev/null || true"
        lines += host.sh(sums, timeout=120).splitlines()
    return set(lines)


def marks(host: LabHost, *roots: str) -> dict[str, str]:
    """Every path below `roots` with values that change when it is touched: inode, times, size."""
    lines = host.sh(f"find {' '.join(roots)} -xdev -printf '%p\\t%i %T@ %C@ %s %m %U %l\\n'")
    return dict(line.split("\t", 1) for line in lines.splitlines())


def touched(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The paths that were created, changed or removed in between."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
