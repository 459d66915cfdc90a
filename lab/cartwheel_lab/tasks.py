"""Tasks for disposable hosts on this machine (root, Linux).

`tasks/lab.py` of Cartwheel turns them into `fab` tasks, with output and exit code.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cartwheel.errors import Exit, LabError, UsageError
from cartwheel.fab import FabContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cartwheel.events import Event
    from cartwheel.fab.task import Hosts
    from cartwheel_lab import Lab, LabHost

SSH_PORT = 22
_SHOWN_FAILURES = 5


class Output(Protocol):
    """A task's output, for a person or as JSON."""

    def emit(self, event: Event) -> None: ...
    def say(self, text: str) -> None: ...
    def table(self, rows: Sequence[Sequence[str]], heads: Sequence[str]) -> None: ...
    def put(self, **result: Any) -> None: ...


@dataclass(frozen=True)
class LabTask:
    """One task: its function, and the meaning of its options and -H."""

    body: Callable[..., int | None]
    name: str | None
    hosts: Hosts
    help: Mapping[str, str]
    json: bool


TASKS: list[LabTask] = []


def lab_task(
    *,
    help: Mapping[str, str] | None = None,
    hosts: Hosts = "required",
    name: str | None = None,
    json: bool = True,
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Register a function `(c, out, own options) -> exit code` as a task."""

    def decorate(body: Callable[..., int | None]) -> Callable[..., int | None]:
        TASKS.append(LabTask(body, name, hosts, help or {}, json))
        return body

    return decorate


def _lab(c: FabContext, out: Output) -> Lab:
    from cartwheel_lab import Lab

    return Lab.open(c.project, emit=out.emit)


def _chosen(c: FabContext) -> list[LabHost]:
    from cartwheel_lab import inventory

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


@lab_task(
    hosts="optional",
    help={
        "count": "How many hosts of this kind to run (default: those of -H, or 1).",
        "suite": "Debian release: bookworm, trixie or bullseye.",
        "python": "With `--no-python`: an image without Python.",
        "disk_mb": "Size in MB of a disk in memory, which lab.disk can fill (default: none).",
    },
)
def up(
    c: FabContext,
    out: Output,
    count: int = 1,
    suite: str = "bookworm",
    python: bool = True,
    disk_mb: int = 0,
) -> int:
    """Start disposable lab hosts, for `-H lab1,lab2`."""
    count = wanted_hosts(c.hosts, count)
    if disk_mb < 0:
        raise UsageError("usage", f"--disk-mb {disk_mb}: a size is needed")
    _list(_lab(c, out).up(count, suite, python=python, disk_mb=disk_mb), out)
    return 0


def wanted_hosts(named: Sequence[str], count: int) -> int:
    """How many hosts are wanted. They get their names in order, so no others can be chosen: other
    names raise UsageError."""
    if count < 1:
        raise UsageError("usage", f"--count {count}: at least one host is needed")
    names = [f"lab{number}" for number in range(1, max(count, len(named)) + 1)]
    if named and sorted(named) != sorted(names):
        raise UsageError(
            "usage",
            f"-H {','.join(named)}: the hosts are named {','.join(names)}",
            hint=f"`fab lab.up -H {','.join(names)}`, or `fab lab.up --count {len(names)}`.",
        )
    return len(names)


@lab_task(hosts="none", name="list")
def list_(c: FabContext, out: Output) -> int:
    """Show the lab's hosts: name, power, address, kind."""
    hosts = _lab(c, out).hosts()
    if hosts:
        _list(hosts, out)
    else:
        out.say("no lab hosts; `fab lab.up` makes one")
    return 0


@lab_task()
def url(c: FabContext, out: Output) -> int:
    """Print the addresses of a lab host's sites."""
    hosts = _chosen(c)
    for host in hosts:
        out.say(host.url())
        for name in host.server_names():
            named = f"{name}:{host.http_port}:{host.address}"
            out.say(f"curl --resolve {named} http://{name}:{host.http_port}/")
    out.put(hosts=[{"host": host.name, "url": host.url()} for host in hosts])
    return 0


@lab_task(help={"user": "Log in as this user: root, deploy, ops or guest."}, json=False)
def ssh(c: FabContext, out: Output, user: str = "root") -> None:
    """Log in to a lab host."""
    chosen = _chosen(c)
    if len(chosen) != 1:
        raise UsageError("usage", "lab.ssh takes one host", hint="Name it with `-H lab1`.")
    command = chosen[0].ssh_command(user=user)
    os.execvp(command[0], command)  # noqa: S606 - no shell is needed


@lab_task()
def power_cut(c: FabContext, out: Output) -> None:
    """Simulate a power cut of a lab host; its disk stays."""
    _lab(c, out).power_cut([host.name for host in _chosen(c)])


@lab_task()
def boot(c: FabContext, out: Output) -> None:
    """Start a lab host again from its disk."""
    _lab(c, out).boot([host.name for host in _chosen(c)])


@lab_task()
def reset(c: FabContext, out: Output) -> None:
    """Give a lab host a fresh disk and boot it."""
    _lab(c, out).reset([host.name for host in _chosen(c)])


@lab_task(hosts="optional")
def down(c: FabContext, out: Output) -> None:
    """Remove lab hosts with all data: those of -H, or all."""
    gone = _lab(c, out).down(c.hosts or None)
    if not gone:
        out.say("no lab hosts; nothing to remove")


@lab_task(
    help={
        "delay_ms": "Round-trip delay in milliseconds.",
        "bytes_per_second": "Throughput in each direction; 0 is no limit.",
        "cut": "Reset all connections and refuse new ones.",
        "black_hole": "Drop everything without an answer.",
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
    """Slow, cut or restore the network of lab hosts; show it."""
    if cut + black_hole + restore > 1:
        raise UsageError("usage", "give only one of --cut, --black-hole and --restore")
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


@lab_task(
    help={
        "full": "Leave no free space.",
        "no_inodes": "Leave no free inodes.",
        "restore": "Free the space and inodes again.",
    },
)
def disk(
    c: FabContext,
    out: Output,
    full: bool = False,
    no_inodes: bool = False,
    restore: bool = False,
) -> None:
    """Fill the disk of lab hosts, or free it.

    They need their own disk: `fab lab.up --disk-mb 2000`.
    """
    if full + no_inodes + restore != 1:
        raise UsageError("usage", "lab.disk takes one of --full, --no-inodes and --restore")
    for host in _chosen(c):
        if full:
            host.fill_disk()
        elif no_inodes:
            host.exhaust_inodes()
        else:
            host.free_disk()
        free = host.sh("df --output=avail,iavail / | tail -1").split()
        out.say(f"{host.name:8} {int(free[0]) >> 10} MB and {free[1]} inodes free")


@lab_task(
    help={
        "do": "The fault; without it the points are only recorded.",
        "at": "Strike at the point that contains this text.",
        "nth": "Which of these points, from 1 (default 1).",
        "message": "Strike at the message with this number, from 1, in --direction.",
        "direction": "Where the message goes: `host` (default) or `operator`.",
        "call": "Strike at the call with this number, from 1: a file change or a program's start.",
        "run": "The command to run (default `deploy`).",
        "points": "Print all points that the command passed.",
        "faults": "Only print all faults.",
    },
    hosts="optional",
    json=False,
)
def fault(
    c: FabContext,
    out: Output,
    do: str = "",
    at: str = "",
    nth: int = 1,
    message: int = 0,
    direction: str = "host",
    call: int = 0,
    run: str = "deploy",
    points: bool = False,
    faults: bool = False,
) -> int:
    """Run a command with a fault at a point (docs/faults.md)."""
    import shlex

    from cartwheel_lab.faults import kinds, tryout

    if faults:
        for one in kinds.FAULTS.values():
            out.say(f"{one.name:16} {one.says}")
        return 0
    chosen = _chosen(c)
    if len(chosen) != 1:
        raise UsageError("usage", "lab.fault takes one host", hint="Name it with `-H lab1`.")
    if bool(do) != (bool(at) + bool(message) + bool(call) == 1):
        raise UsageError("usage", "--do takes one of --at, --message and --call, which need --do")
    if direction not in ("host", "operator"):
        raise UsageError("usage", f"--direction {direction}: must be `host` or `operator`")
    where = tryout.at(at, nth)
    if message or call:
        where = tryout.message(message, direction) if message else tryout.call(call)
    wanted = kinds.named(do) if do else None
    ended = tryout.run(chosen[0], c.project, shlex.split(run), where, wanted)
    if points or wanted is None:
        for number, point in enumerate(ended.points, 1):
            out.say(f"{number:4} {point}")
    out.say(f"`fab {run}` ended with exit code {ended.code}")
    if wanted is not None:
        met = f"at: {ended.struck}" if ended.struck else "did not strike: no such point was reached"
        out.say(f"{wanted.name} {met}")
    return 0 if wanted is None or ended.struck else 1


@lab_task(
    help={
        "seconds": "For how long.",
        "path": "The path that visitors request.",
        "name": "The site's name, for the Host header.",
        "releases": "Versions that may answer, comma-separated (default: all).",
        "all_kinds": "Also slow requests, uploads, streams; the site must be like examples/hello.",
    },
)
def load(
    c: FabContext,
    out: Output,
    seconds: str = "30",
    path: str = "/healthz",
    name: str = "localhost",
    releases: str = "",
    all_kinds: bool = False,
) -> int:
    """Send requests to a lab host's site; count failures.

    The visitors are inside the host's own network.
    """
    from dataclasses import replace

    from cartwheel_lab.load import Plan
    from cartwheel_lab.visitors import visit

    versions = tuple(one.strip() for one in releases.split(",") if one.strip())
    plan = Plan(seconds=_number("seconds", seconds) or 0.0, path=path, host=name, releases=versions)
    if not all_kinds:
        plan = replace(plan, slow=0, upload=0, stream=0)
    if not (all_kinds or versions):
        plan = replace(plan, release_pattern="")  # the site need not name its version
    return _tell_visits(out, visit(_chosen(c), plan))


def _tell_visits(out: Output, seen: dict[str, Any]) -> int:
    """Print a line for each kind of visitor on each host; 0 if all requests succeeded, else 1."""
    rows = [
        (
            host,
            kind,
            str(sent),
            str(one["failed_by_kind"].get(kind, 0)),
            f"{one['stalls'].get(kind, 0.0):.3f} s",
        )
        for host, one in seen.items()
        for kind, sent in sorted(one["sent"].items())
    ]
    out.table(rows, ("HOST", "VISITORS", "REQUESTS", "FAILED", "LONGEST STALL"))
    for host, one in seen.items():
        for failure in one["failures"][:_SHOWN_FAILURES]:
            out.say(f"[{host}] {failure['at']:.3f} s {failure['kind']}: {failure['problem']}")
        for release, count in sorted(one["releases"].items()):
            out.say(f"[{host}] {release} answered {count} times")
        if one["idle_closed"]:
            out.say(f"[{host}] {len(one['idle_closed'])} kept connections were closed")
    out.put(hosts=[{"host": host, **one} for host, one in seen.items()])
    return int(Exit.FAILED if any(one["failed"] for one in seen.values()) else Exit.OK)


def _number(option: str, text: str) -> float | None:
    """An optional number of at least 0. Raises UsageError."""
    try:
        value = float(text) if text else None
    except ValueError:
        value = -1.0
    if value is not None and not 0 <= value < float("inf"):
        raise UsageError("usage", f"--{option} {text}: a number of at least 0 is needed")
    return value
