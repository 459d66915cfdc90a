"""Gather the facts that a plan needs, in one answer, without changing the host."""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Optional

from cartwheel.host.layout import PIP, Layout, content_of
from cartwheel.host.look import parts, tls
from cartwheel.host.process import instances
from cartwheel.host.process.parts import named
from cartwheel.host.release import borrow, installer_uv
from cartwheel.host.state import (
    assignment,
    freeze,
    journal,
    pending,
    record,
    releases,
    sides,
    stopped,
)
from cartwheel.host.system import children, files, reach, systemd
from cartwheel.host.system.context import Context, OpError, boot_id
from cartwheel.host.web import certbot, chosen, kinds, maintenance, serving, users
from cartwheel.host.web.server import WebServer
from cartwheel.host.wire.facts import App, AskFacts, Facts, Interpreter, Machine, Release
from cartwheel.host.wire.manifest import Manifest
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.pending import DAMAGED
from cartwheel.host.wire.web import WebServing

_CALL_SECONDS = 10
_BIN = ("/usr/bin", "/usr/local/bin")
_AT_ONCE = 8  # most of them wait for a program or an answer


def probe(ctx: Context, request: AskFacts) -> Facts:
    """Facts of the host and of one application on it."""
    at, server = ctx.at, kinds.named(request.web_server)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        machine = pool.submit(_machine)
        python = pool.submit(interpreter, request.python, request.user)
        app = pool.submit(_app, at, request.carried)
        digests = pool.submit(lambda: {one: files.sha256_of(Path(one)) for one in request.files})
        version = pool.submit(_web_version, server)
        installed = pool.submit(server.installed)
        brotli = pool.submit(server.sends_brotli)
        web = pool.submit(_web, at, server)
        ports = pool.submit(listening_ports)
        uv = pool.submit(installer_uv.find, request.uv_version, request.user)
        free_bytes, free_inodes = parts.free_on(at.base)
        pips = _versions(PIP)
    found_python, configured = python.result(), installed.result()
    return Facts(
        host=machine.result(),
        python=found_python,
        no_python="" if found_python else no_interpreter(request.python),
        app=app.result(),
        files=digests.result(),
        web_server=version.result(),
        web=web.result(),
        servers=tuple(configured.servers),
        ports=ports.result(),
        free_bytes=free_bytes,
        free_inodes=free_inodes,
        pips=tuple(pips),
        uv=uv.result(),
        tls=tls.there(at),
        certbot=certbot.is_there(),
        users=users.digests(at),
        brotli=brotli.result(),
        listens=tuple(configured.listens),
        connections=configured.connections,
        prepared_for=chosen.prepared_for(at),
        other_site=str(chosen.other_site(at, server) or ""),
    )


def _machine() -> Machine:
    libc, libc_version = platform.libc_ver()
    return Machine(
        machine=platform.machine(),
        system=_system(),
        libc="glibc" if libc == "glibc" else "musl",
        libc_version=libc_version,
        cpus=os.cpu_count() or 1,
        time=time.time(),
        boot_id=boot_id(),
        systemd=systemd_version(),
        ipv6=os.path.exists("/proc/net/if_inet6"),
    )


def _system() -> str:
    """PRETTY_NAME of os-release(5)."""
    for line in _read("/etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip("\"'")
    return ""


def systemd_version() -> Optional[int]:
    """The major version of systemd; None if it is not the init here."""
    if not systemd.is_booted():
        return None
    words = _output(["systemctl", "--version"]).split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


# The executable is the one that a virtual environment links to.
_ASK_PYTHON = """import os, platform, sys
print(platform.python_version())
print(sys.base_prefix)
print(os.path.dirname(os.__file__))
print(getattr(sys, "_base_executable", sys.executable))
import venv
"""


def interpreter(wanted: str, user: str) -> Optional[Interpreter]:
    """The app's interpreter, or None. `wanted` is a path or a version. An interpreter that the user
    can run is preferred."""
    who, first = reach.account(user), None
    for name in _candidates(wanted):
        if not os.access(name, os.X_OK):
            continue
        lines = _output([name, "-I", "-c", _ASK_PYTHON]).splitlines()
        if len(lines) != 4:
            continue
        if wanted.startswith("/") or (lines[0] + ".").startswith(wanted + "."):
            found = _described(name, lines, who)
            first = first or found
            if not found.obstacle:
                return found
    return first


def _described(name: str, lines: List[str], who: reach.Account) -> Interpreter:
    version, prefix, stdlib, executable = lines
    places = [name, executable, stdlib + "/os.py"]
    obstacles = [_obstacle(path, who) for path in places]
    return Interpreter(
        path=name,
        version=version,
        stdlib=stdlib,
        in_home=any(reach.in_home(path) for path in (*places, prefix)),
        obstacle=next(filter(None, obstacles), ""),
    )


def _obstacle(path: str, who: reach.Account) -> str:
    top = reach.replaced(path)
    if top:
        return f"{path} is below {top}, which is private to the unit"
    found = reach.obstacle(path, who, execute=not path.endswith("/os.py"))
    return found if not found or found.startswith(path) else f"{path}: {found}"


def no_interpreter(wanted: str) -> str:
    """Why a file of that name is not a usable interpreter; "" if there is no such file."""
    for name in _candidates(wanted):
        real = os.path.realpath(name)
        if not os.path.lexists(name):
            continue
        if not os.path.exists(real):
            return f"{name} is a link to {real}, which is missing"
        if os.statvfs(real).f_flag & os.ST_NOEXEC:
            return f"{name} is on a file system that is mounted noexec"
        if wanted.startswith("/"):
            return f"{name} does not run as a Python that has venv"
    return ""


def _candidates(wanted: str) -> List[str]:
    """The possible paths of this Python version; file names do not hold the patch level. Some hosts
    have a python3.11 and no python3; of several the newest comes first."""
    if wanted.startswith("/"):
        return [wanted]
    parts = wanted.split(".")
    suffixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    if len(parts) == 1:
        there = {path.name for at in _BIN for path in Path(at).glob(f"python{wanted}.*")}
        minors = (name.rpartition(".")[2] for name in there)
        newest = sorted((int(one) for one in minors if one.isdigit()), reverse=True)
        suffixes += [f"{wanted}.{minor}" for minor in newest]
    return [f"{at}/python{one}" for one in suffixes for at in _BIN]


def _app(at: Layout, with_carried: bool) -> App:
    """Setup record, links, releases and state of one application."""
    known = record.read(at)
    current = releases.pointed(at.current)
    serving = releases.serving(at)
    entries = journal.read(at.journal)
    lock, leftovers = parts.left_over(at)
    return App(
        digest_key=known.digest_key if known else None,
        current=current,
        content=content_of(current) if current else None,
        serving=serving,
        down=tuple(map(named, instances.down(at, sides.of(at, serving)))),
        rollback=releases.rollback_target(at, current, entries),
        releases=tuple(map(_release, releases.complete(at))),
        spoilt=releases.spoilt(at),
        settings=releases.settings_of(at, current) if current else None,
        assigned=assignment.read(at),
        carried=tuple(borrow.carried(at, current)) if current and with_carried else (),
        wheels=tuple(_cached(at.cache / "wheels")),
        leftovers=leftovers,
        locked=lock is not None,
        pending=pending.look(at) not in (None, DAMAGED),
        stopped=files.read_record(Stopped, at.stopped),
        stopped_processes=stopped.processes(at),
        maintenance=maintenance.read(at),
        freeze=freeze.read(at),
        premise=releases.premise(at),
        seq=(entries[-1].seq or 0) if entries else 0,
        setbacks=journal.setbacks(entries),
    )


def _release(manifest: Manifest) -> Release:
    python = manifest.python
    return Release(
        release=manifest.release,
        version=manifest.version,
        content=releases.content(manifest),
        name=manifest.name,
        wheel_sha256=manifest.wheel_sha256,
        python=(python.path, python.version) if python.path else None,
        variables={name: one.digest for name, one in manifest.env.items()},
        placed={name: one.digest for name, one in manifest.placed.items()},
        processes=manifest.processes,
        job_seconds={name: one.timeout_seconds for name, one in manifest.timers.items()},
        prefix=manifest.prefix,
    )


def _web(at: Layout, web: WebServer) -> WebServing:
    state = systemd.state(web.unit) if systemd.is_booted() else None
    return serving.look(at, web, state)


def _web_version(web: WebServer) -> Optional[str]:
    done = _ask(list(web.version_command))
    return web.version_in(done.output + done.errors)


def listening_ports() -> Dict[str, str]:
    """The TCP ports in use, and the program that listens on each."""
    ports: Dict[str, str] = {}
    for line in _output(["ss", "-H", "-t", "-l", "-n", "-p"]).splitlines():
        words = line.split()
        if len(words) < 4:
            continue
        program = line.split('(("', 1)[1].split('"', 1)[0] if '(("' in line else "unknown"
        ports[words[3].rsplit(":", 1)[-1]] = program
    return ports


def _versions(folder: Path) -> List[str]:
    return [name for name in files.names(folder) if not name.startswith(".")]


def _cached(folder: Path) -> List[str]:
    """The digests whose wheel is there; an interrupted upload leaves an empty folder."""
    return [name for name in _versions(folder) if list((folder / name).glob("*.whl"))]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _output(argv: List[str]) -> str:
    """The program's output; "" if it fails or cannot be run."""
    done = _ask(argv)
    return done.output.strip() if done.status == 0 else ""


def _ask(argv: List[str]) -> children.Done:
    """Run it; a failure counts as no output."""
    try:
        return children.ask(argv, timeout_seconds=_CALL_SECONDS)
    except (OSError, OpError):
        return children.Done(-1, "", "")
