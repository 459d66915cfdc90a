"""Words about disposable hosts on this machine (root, Linux)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cartwheel.errors import LabError, UsageError
from cartwheel.fab import FabContext

from ._scene import plain_word

if TYPE_CHECKING:
    from cartwheel.lab import Lab, LabHost

    from ._show import Output

SSH_PORT = 22


def _lab(c: FabContext, out: Output) -> Lab:
    from cartwheel.lab import Lab

    return Lab.open(c.project, emit=out.emit)


def _chosen(c: FabContext) -> list[LabHost]:
    from cartwheel.lab import inventory

    known = inventory(c.project)
    for name in c.require_hosts():
        if name not in known:
            there = ", ".join(known) or "none"
            raise LabError("lab-unknown", f"there is no lab host {name}; there are: {there}")
    return [known[name] for name in c.require_hosts()]


def _list(hosts: list[LabHost], out: Output) -> None:
    rows = [
        (host.name, host.state, _address(host), host.suite, "yes" if host.python else "no")
        for host in hosts
    ]
    heads = ("HOST", "POWER", "ADDRESS", "IMAGE", "PYTHON")
    out.table(rows, heads)
    names = [head.lower() for head in heads]
    out.put(hosts=[dict(zip(names, row, strict=True)) for row in rows])


def _address(host: LabHost) -> str:
    return host.address if host.port == SSH_PORT else f"{host.address}:{host.port}"


@plain_word(
    hosts="none",
    help={
        "count": "How many hosts of this kind shall run.",
        "suite": "Debian's release: bookworm, trixie or bullseye.",
        "python": "With `--no-python`: an image without Python.",
    },
)
def up(
    c: FabContext, out: Output, count: int = 1, suite: str = "bookworm", python: bool = True
) -> int:
    """Have disposable hosts run here: `-H lab1,lab2` just works."""
    if count < 1:
        raise UsageError("usage", f"--count {count}: at least one host is needed")
    _list(_lab(c, out).up(count, suite, python=python), out)
    return 0


@plain_word(hosts="none", name="list")
def list_(c: FabContext, out: Output) -> int:
    """Show the lab's hosts: name, power, address, kind."""
    hosts = _lab(c, out).hosts()
    if hosts:
        _list(hosts, out)
    else:
        out.say("no lab hosts; `fab lab.up` makes one")
    return 0


@plain_word()
def url(c: FabContext, out: Output) -> int:
    """Print the address of a lab host's web server."""
    hosts = _chosen(c)
    for host in hosts:
        out.say(host.url())
    out.put(hosts=[{"host": host.name, "url": host.url()} for host in hosts])
    return 0


@plain_word(help={"user": "Log in as this user: root, deploy, ops or guest."}, json=False)
def ssh(c: FabContext, out: Output, user: str = "root") -> None:
    """Log in to a lab host, as a person."""
    chosen = _chosen(c)
    if len(chosen) != 1:
        raise UsageError("usage", "lab.ssh takes one host", hint="Name it with `-H lab1`.")
    command = chosen[0].ssh_command(user=user)
    os.execvp(command[0], command)  # noqa: S606 - no shell wanted


@plain_word()
def power_cut(c: FabContext, out: Output) -> None:
    """Kill a lab host as by a cut of power; its disk stays."""
    _lab(c, out).power_cut([host.name for host in _chosen(c)])


@plain_word()
def boot(c: FabContext, out: Output) -> None:
    """Start a lab host again from its disk."""
    _lab(c, out).boot([host.name for host in _chosen(c)])


@plain_word()
def reset(c: FabContext, out: Output) -> None:
    """Give a lab host a fresh disk and boot it."""
    _lab(c, out).reset([host.name for host in _chosen(c)])


@plain_word(hosts="optional")
def down(c: FabContext, out: Output) -> None:
    """Take lab hosts away with all they have: those of -H, or all."""
    gone = _lab(c, out).down(c.hosts or None)
    if not gone:
        out.say("no lab hosts; nothing to take away")


@plain_word(
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
    out: Output,
    delay_ms: str = "",
    bytes_per_second: str = "",
    cut: bool = False,
    black_hole: bool = False,
    restore: bool = False,
) -> None:
    """Slow, cut or restore the line to lab hosts; then show it."""
    if cut + black_hole + restore > 1:
        raise UsageError("usage", "--cut, --black-hole and --restore exclude each other")
    delay, rate = _number("delay-ms", delay_ms), _number("bytes-per-second", bytes_per_second)
    shown = []
    for host in _chosen(c):
        host.network(delay_ms=delay, bytes_per_second=rate)
        if cut:
            host.cut()
        if black_hole:
            host.black_hole()
        if restore:
            host.restore()
        line = host.line()
        shown.append({"host": host.name, **line})
        rate_text = f", {line['bytes_per_second']:.0f} bytes/s" if line["bytes_per_second"] else ""
        out.say(f"{host.name:8} link {line['link']}, {line['delay_ms']:g} ms{rate_text}")
    out.put(hosts=shown)


def _number(option: str, text: str) -> float | None:
    """An optional number of at least 0. Raises UsageError."""
    try:
        value = float(text) if text else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 <= value < float("inf"):
        raise UsageError("usage", f"--{option} {text}: a number of at least 0 is needed")
    return value
