"""Words about disposable hosts on this machine (root, Linux)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cartwheel.errors import LabError, UsageError
from cartwheel.fab import FabContext, task

from . import _show

if TYPE_CHECKING:
    from cartwheel.lab import Lab, LabHost

SSH_PORT = 22


def _lab(c: FabContext) -> Lab:
    from cartwheel.lab import Lab

    return Lab.open(c.project, emit=_show.line)


def _chosen(c: FabContext) -> list[LabHost]:
    from cartwheel.lab import inventory

    known = inventory(c.project)
    for name in c.require_hosts():
        if name not in known:
            there = ", ".join(known) or "none"
            raise LabError("lab-unknown", f"there is no lab host {name}; there are: {there}")
    return [known[name] for name in c.require_hosts()]


def _list(hosts: list[LabHost]) -> None:
    rows = [
        (
            host.name,
            host.state,
            host.address if host.port == SSH_PORT else f"{host.address}:{host.port}",
            host.suite if host.python else f"{host.suite} without Python",
        )
        for host in hosts
    ]
    _show.table(rows, ("host", "power", "address", "image"))


@task(
    hosts="none",
    help={
        "count": "How many hosts of this kind shall run.",
        "suite": "Debian's release: bookworm, trixie or bullseye.",
        "python": "With `--no-python`: an image without Python.",
    },
)
def up(c: FabContext, count: int = 1, suite: str = "bookworm", python: bool = True) -> None:
    """Have disposable hosts running here; `-H lab1,lab2` then just works."""
    if count < 1:
        raise UsageError("usage", f"--count {count}: at least one host is needed")
    _list(_lab(c).up(count, suite, python=python))


@task(hosts="none", name="list")
def list_(c: FabContext) -> None:
    """Show the lab's hosts: name, power, address, kind."""
    hosts = _lab(c).hosts()
    if hosts:
        _list(hosts)
    else:
        print("no lab hosts; `fab lab.up` makes one")


@task()
def url(c: FabContext) -> None:
    """Print the address of a lab host's web server."""
    for host in _chosen(c):
        print(host.url())


@task(help={"user": "Log in as this user: root, deploy, ops or guest."})
def ssh(c: FabContext, user: str = "root") -> None:
    """Log in to a lab host, as a person."""
    chosen = _chosen(c)
    if len(chosen) != 1:
        raise UsageError("usage", "lab.ssh takes one host", hint="Name it with `-H lab1`.")
    command = chosen[0].ssh_command(user=user)
    os.execvp(command[0], command)  # noqa: S606 - no shell wanted


@task()
def power_cut(c: FabContext) -> None:
    """Kill a lab host without warning, as by a cut of power; its disk stays."""
    _lab(c).power_cut([host.name for host in _chosen(c)])


@task()
def boot(c: FabContext) -> None:
    """Start a lab host again from its disk."""
    _lab(c).boot([host.name for host in _chosen(c)])


@task()
def reset(c: FabContext) -> None:
    """Give a lab host a fresh disk and boot it."""
    _lab(c).reset([host.name for host in _chosen(c)])


@task(hosts="optional")
def down(c: FabContext) -> None:
    """Take lab hosts away with all they have: those of -H, or all."""
    gone = _lab(c).down(c.hosts or None)
    if not gone:
        print("no lab hosts; nothing to take away")


@task(
    help={
        "delay_ms": "Round-trip delay in milliseconds.",
        "bytes_per_second": "Throughput in each direction; 0 is no limit.",
        "cut": "Reset all connections, refuse new ones.",
        "black_hole": "Drop everything in silence.",
        "restore": "Undo --cut or --black-hole.",
    },
)
def network(
    c: FabContext,
    delay_ms: str = "",
    bytes_per_second: str = "",
    cut: bool = False,
    black_hole: bool = False,
    restore: bool = False,
) -> None:
    """Change the line to lab hosts: slow it, cut it, restore it; then show it."""
    if cut + black_hole + restore > 1:
        raise UsageError("usage", "--cut, --black-hole and --restore exclude each other")
    delay, rate = _number("delay-ms", delay_ms), _number("bytes-per-second", bytes_per_second)
    for host in _chosen(c):
        host.network(delay_ms=delay, bytes_per_second=rate)
        if cut:
            host.cut()
        if black_hole:
            host.black_hole()
        if restore:
            host.restore()
        line = host.line()
        rate_text = f", {line['bytes_per_second']:.0f} bytes/s" if line["bytes_per_second"] else ""
        print(f"{host.name:8} link {line['link']}, {line['delay_ms']:g} ms{rate_text}")


def _number(option: str, text: str) -> float | None:
    """An optional number of at least 0. Raises UsageError."""
    try:
        value = float(text) if text else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 <= value < float("inf"):
        raise UsageError("usage", f"--{option} {text}: a number of at least 0 is needed")
    return value
