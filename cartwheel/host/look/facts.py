"""Look at a host without changing anything: all that a plan needs, in one answer."""

from __future__ import annotations

import os
import platform
import pwd
import re
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from cartwheel.host.layout import PIP, Layout, content_of
from cartwheel.host.look import parts
from cartwheel.host.release import borrow, installer_uv, leftovers
from cartwheel.host.state import freeze, journal, pending, releases
from cartwheel.host.system import children, files, locks, reach, systemd
from cartwheel.host.system.context import Context
from cartwheel.host.web import nginx_config

Facts = Dict[str, Any]

_CALL_SECONDS = 10
_NGINX = re.compile(r"^nginx version: \S+/(\S+)", re.MULTILINE)


def probe(ctx: Context, args: Facts) -> Facts:
    """Facts of the host and of one application on it.

    args: app, base, python (wanted interpreter), user, files (paths whose digests matter),
    carried (whether it matters what files the serving release's wheel had), uv_version (of
    those on this host, the one to prefer).
    """
    at = Layout(args["app"], Path(args["base"]))
    wanted: Dict[str, Callable[[], Any]] = {
        "host": host_facts,
        "python": lambda: interpreter(args["python"], args["user"]),
        "app": lambda: app_facts(at, args.get("carried", False)),
        "user": lambda: _user(args["user"]),
        "files": lambda: {path: files.sha256_of(Path(path)) for path in args["files"]},
        "nginx": nginx_facts,
        "ports": listening_ports,
        "disk": lambda: {path: disk(Path(path)) for path in (args["base"], "/var/tmp", "/run")},
        "tools": lambda: {
            "pip": _versions(PIP),
            "uv": _uv(args.get("uv_version", ""), args["user"]),
        },
    }
    found = parts.side_by_side(wanted)
    return {**found, "no_python": "" if found["python"] else no_interpreter(args["python"])}


def host_facts() -> Facts:
    libc, libc_version = platform.libc_ver()
    return {
        "hostname": platform.node(),
        "machine": platform.machine(),
        "os": os_release(),
        "libc": "glibc" if libc == "glibc" else "musl",
        "libc_version": libc_version,
        "cpus": os.cpu_count() or 1,
        "time": time.time(),
        "boot_id": _read("/proc/sys/kernel/random/boot_id"),
        "systemd": systemd_version(),
        "ipv6": os.path.exists("/proc/net/if_inet6"),
        "uid": os.geteuid(),
    }


def os_release() -> Dict[str, str]:
    """ID, VERSION_ID and PRETTY_NAME of os-release(5)."""
    values: Dict[str, str] = {}
    for line in _read("/etc/os-release").splitlines():
        key, _, value = line.partition("=")
        values[key] = value.strip("\"'")
    return {key: values.get(key, "") for key in ("ID", "ID_LIKE", "VERSION_ID", "PRETTY_NAME")}


def systemd_version() -> Optional[int]:
    """The major version of the systemd that is init here; None where it is not."""
    if not systemd.is_booted():
        return None
    words = _output(["systemctl", "--version"]).split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


# The executable is the one that a virtual environment of it links to.
_ASK_PYTHON = """import os, platform, sys
print(platform.python_version())
print(sys.base_prefix)
print(os.path.dirname(os.__file__))
print(getattr(sys, "_base_executable", sys.executable))
import venv
"""


def interpreter(wanted: str, user: str) -> Optional[Facts]:
    """The app's interpreter, or None. `wanted` is a path or a version.

    `path` is what it is called, `prefix`, `stdlib` and `executable` where it really is, `in_home`
    whether a unit must not hide homes, and `obstacle` why `user` cannot run it ("": it can). One
    that the user can run is preferred.
    """
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
            if not found["obstacle"]:
                return found
    return first


def _described(name: str, lines: List[str], who: reach.Account) -> Facts:
    version, prefix, stdlib, executable = lines
    places = [name, executable, stdlib + "/os.py"]
    obstacles = [_obstacle(path, who) for path in places]
    return {
        "path": name,
        "version": version,
        "prefix": prefix,
        "stdlib": stdlib,
        "executable": os.path.realpath(executable),
        "in_home": any(reach.in_home(path) for path in (*places, prefix)),
        "obstacle": next((text for text in obstacles if text), ""),
    }


def _obstacle(path: str, who: reach.Account) -> str:
    top = reach.replaced(path)
    if top:
        return "{} is below {}, of which the unit has one of its own".format(path, top)
    found = reach.obstacle(path, who, execute=not path.endswith("/os.py"))
    return found if not found or found.startswith(path) else "{}: {}".format(path, found)


def no_interpreter(wanted: str) -> str:
    """Why there is none, where something of the name is there; else ""."""
    for name in _candidates(wanted):
        real = os.path.realpath(name)
        if not os.path.lexists(name):
            continue
        if not os.path.exists(real):
            return "{} is a link to {}, which is not there".format(name, real)
        if os.statvfs(real).f_flag & os.ST_NOEXEC:
            return "{} is on a file system that is mounted noexec".format(name)
        if wanted.startswith("/"):
            return "{} does not run as a Python that has venv".format(name)
    return ""


def _candidates(wanted: str) -> List[str]:
    """Where a Python of this version may be; its patch level is in no file's name."""
    if wanted.startswith("/"):
        return [wanted]
    parts = wanted.split(".")
    suffixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return [
        folder + "/python" + one for one in suffixes for folder in ("/usr/bin", "/usr/local/bin")
    ]


def app_facts(at: Layout, with_carried: bool) -> Facts:
    """Setup's record, links, releases and state of one application."""
    record = files.read_json(at.record)
    current = releases.pointed(at.current)
    slot = releases.slot_of(at, current) if current else None
    state = systemd.state(at.unit(current, slot)) if current and slot else None
    whole = releases.complete(at)
    entries = journal.read(at.journal)
    lock = locks.held_by(at.lock)
    return {
        "record": record,
        "root_exists": at.root.exists(),
        "current": current,
        "content": content_of(current) if current else None,
        "settings": releases.settings_of(at, current) if current else None,
        "slot": slot,
        "fallback": releases.pointed(at.fallback),
        "previous": releases.pointed(at.previous),
        "carried": borrow.carried(at, current) if current and with_carried else [],
        "is_up": bool(state and state.is_up),
        "pending": pending.look(at),
        "stopped": files.read_json(at.stopped),
        "freeze": freeze.read(at),
        "releases": [
            {key: manifest[key] for key in manifest if key != "packages"} for manifest in whole
        ],
        "spoilt": releases.spoilt(at),
        "leftovers": [] if lock else [one.text for one in leftovers.find(at)],
        "rollback": releases.rollback_target(at, current, entries),
        "wheels": _cached(at.cache / "wheels"),
        "runtime": files.read_link(at.lib / "current"),
        "lock": lock,
        "premise": releases.premise(at),
        "seq": entries[-1].get("seq", 0) if entries else 0,
    }


def nginx_facts() -> Facts:
    return {
        "version": _nginx_version(),
        "servers": [
            {
                "file": server.file,
                "ports": list(server.ports),
                "names": list(server.names),
                "default_ports": list(server.default_ports),
            }
            for server in nginx_config.servers()
        ],
        "user": nginx_config.user(),
    }


def _nginx_version() -> Optional[str]:
    found = _NGINX.search(_ask(["nginx", "-v"]).errors)  # nginx prints it there
    return found.group(1) if found else None


def listening_ports() -> Dict[str, str]:
    """TCP ports that somebody listens on here, and which program."""
    ports: Dict[str, str] = {}
    for line in _output(["ss", "-H", "-t", "-l", "-n", "-p"]).splitlines():
        words = line.split()
        if len(words) < 4:
            continue
        program = line.split('(("', 1)[1].split('"', 1)[0] if '(("' in line else "unknown"
        ports[words[3].rsplit(":", 1)[-1]] = program
    return ports


def disk(path: Path) -> Dict[str, int]:
    """Free bytes and inodes on the file system of `path`, or of its nearest parent."""
    free_bytes, free_inodes = parts.free_on(path)
    return {"free_bytes": free_bytes, "free_inodes": free_inodes}


def _user(name: str) -> Optional[Dict[str, Any]]:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return {"uid": entry.pw_uid, "home": entry.pw_dir}


def _uv(wanted: str, user: str) -> Optional[Dict[str, str]]:
    found = installer_uv.find(wanted, user)
    return None if found is None else {"path": found.path, "version": found.version}


def _versions(folder: Path) -> List[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _cached(folder: Path) -> List[str]:
    """The digests whose wheel is there; an upload that was killed leaves an empty folder."""
    return [name for name in _versions(folder) if list((folder / name).glob("*.whl"))]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _output(argv: List[str]) -> str:
    """What it answers; nothing where it fails or cannot be run."""
    done = _ask(argv)
    return done.output.strip() if done.status == 0 else ""


def _ask(argv: List[str]) -> children.Answer:
    """Without the pauses of `children.ask`: a probe is to be quick."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=children.clean_environment(),
            timeout=_CALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return children.Answer(-1, "", "")
    output, errors = (one.decode("utf-8", "replace") for one in (done.stdout, done.stderr))
    return children.Answer(done.returncode, output, errors)
