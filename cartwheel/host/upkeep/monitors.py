"""Let monitors look at this host: a user who can only read, one key for each monitor, and the
program that answers it (`watch.look`).

They belong to the host, not to an application: who waits for whom is decided by the short lock of
what applications share, and neither a deploy nor a freeze is in the way. The key comes last and
goes first, and each step can be made again, so whatever is killed in between, a key is there only
with all that makes it harmless.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import signal
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.state import record, watchers
from cartwheel.host.state.watchers import USER
from cartwheel.host.system import children, files, locks, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.upkeep import runtime, setup
from cartwheel.host.wire.look import PROTOCOL
from cartwheel.host.wire.monitors import (
    Allowed,
    AllowMonitor,
    AskMonitors,
    Forbidden,
    ForbidMonitor,
    Monitors,
)

HOME = layout.STATE / "look"
KEYS = HOME / ".ssh" / "authorized_keys"
LOOK = layout.LOOK
# Debian's groups of those who may read logs.
GROUPS = ("adm", "systemd-journal")
_PYTHON = "/usr/bin/python3"  # stays when the distribution is upgraded
_ABOUT = "look.json"
# What the program imports; see `watch.units`.
_MODULES = re.compile(r"cartwheel\.host(\.watch(\..+)?|\.schedule(\.(cron|due|zones))?)?")
_MAIN = """import sys
from cartwheel.host.watch.look import main

sys.exit(main({version!r}))
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,255}")
_KEY = re.compile(r"(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}")
_SOURCE = re.compile(r"[0-9A-Za-z.:/*?!_-]+")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,40}")
_MARK = "cartwheel-monitor:"
_COMPILE_SECONDS = 30.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1


def allow(ctx: Context, request: AllowMonitor) -> Allowed:
    """Raises OpError("not-set-up"), ("not-ours"), ("account"); a full disk is one error too."""
    _check(request)
    record.needed(ctx.at)  # else nobody would remove it again
    with locks.shared_parts(ctx):
        changed = _install(ctx, request.version)
        changed += _account(ctx)
        opened, problems = _open()
        changed += opened
        changed += _home()
        if _write({**_lines(), request.name: _line(request)}, _others()):
            changed.append(f"key of {request.name}")
    version, protocol = installed()
    return Allowed(USER, tuple(changed), version, protocol, tuple(problems))


def _check(request: AllowMonitor) -> None:
    """These words get into a line that sshd reads."""
    words = [(_NAME, request.name), (_KEY, request.key), (_VERSION, request.version)]
    words += [(_SOURCE, one) for one in request.sources]
    if not all(pattern.fullmatch(word) for pattern, word in words):
        raise OpError("host-side", "the monitor's name, key or address has a form of its own")


def _line(request: AllowMonitor) -> str:
    options = ["restrict", f'command="{_python()} -I {LOOK}/look"']
    if request.sources:
        options.append('from="{}"'.format(",".join(request.sources)))
    return f"{','.join(options)} {request.key} {_MARK}{request.name}"


# -- the program


def installed() -> Tuple[str, int]:
    """The version and the protocol of the look on this host; ("", 0) without one."""
    try:
        about = files.read_json(LOOK / "look" / _ABOUT) or {}
    except OpError:
        about = {}
    version, protocol = about.get("version"), about.get("protocol")
    if not isinstance(version, str) or not isinstance(protocol, int):
        return "", 0
    return version, protocol


def _install(ctx: Context, version: str) -> List[str]:
    """Install this version's look, unless a later one is there, or repair it. The link leads to it
    only when it is whole."""
    if _order(*installed()) > _order(version, PROTOCOL):
        return []
    own = {name: text for name, text in setup.own_sources().items() if _MODULES.fullmatch(name)}
    name = runtime.digest({**own, "version": version})
    folder, about = LOOK / name, {"version": version, "protocol": PROTOCOL}
    changed = False
    for path in (layout.LIB, LOOK, folder):
        changed |= files.directory(path, 0o755)
    changed |= runtime.write_modules(folder, own)
    changed |= files.write(folder / _ABOUT, json.dumps(about).encode())
    changed |= files.write(folder / "__main__.py", _MAIN.format(version=version).encode())
    if changed or files.read_link(LOOK / "look") != name:
        compiler = [_python(), "-I", "-m", "compileall", "-q", "-f", *runtime.BY_HASH, str(folder)]
        children.run(ctx, compiler, timeout_seconds=_COMPILE_SECONDS)
        files.sync_filesystem(folder)
    changed |= files.link(LOOK / "look", name)
    for other in files.names(LOOK):
        if other != name and files.is_folder(LOOK / other):
            files.remove_tree(LOOK / other)
    return [f"look {name}"] if changed else []


def _python() -> str:
    return _PYTHON if os.path.exists(_PYTHON) else os.path.realpath(sys.executable)


def _order(version: str, protocol: int) -> Tuple[int, Tuple[int, ...]]:
    return protocol, tuple(int(number) for number in re.findall(r"\d+", version)[:3])


# -- the user


def _account(ctx: Context) -> List[str]:
    """Make the user: it has no password, and sshd needs a shell to run the program of its key."""
    changed, known = [], _entry()
    groups = [one for one in GROUPS if _has_group(one)]
    if known is not None and known.pw_dir != str(HOME):
        raise OpError("not-ours", f"the user {USER} exists, and its home is {known.pw_dir}")
    if known is None:
        # `*` is no password; with `!`, sshd without PAM takes the account for locked.
        how = ["--system", "--no-create-home", "--home-dir", str(HOME), "--shell", "/bin/sh"]
        how += ["--password", "*", "--comment", "Cartwheel's monitors", "--user-group"]
        children.check(ctx, ["useradd", *how, USER], "account", f"useradd failed for {USER}")
        changed.append(f"user {USER}")
    for group in groups:
        if USER not in grp.getgrnam(group).gr_mem:
            argv = ["usermod", "-a", "-G", group, USER]
            children.check(ctx, argv, "account", f"{USER} could not join {group}")
            changed.append(f"{USER} joined {group}")
    return changed


def _entry() -> "Optional[pwd.struct_passwd]":
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None


def _has_group(name: str) -> bool:
    return any(one.gr_name == name for one in grp.getgrall())


def _open() -> Tuple[List[str], List[str]]:
    """Let it into the folders of all applications: what changed, and what could not be."""
    changed: List[str] = []
    problems: List[str] = []
    for at in _apps():
        try:
            changed += watchers.let_in(at)
        except OSError as error:
            why = f"{error.filename or at.root}: {error.strerror}"
            problems.append(f"monitors see nothing of {at.app}: {why} (access control lists)")
    return changed, problems


def _apps() -> Iterator[Layout]:
    """The applications that are set up on this host."""
    for name in files.names(layout.STATE):
        path = layout.STATE / name
        if path.suffix != ".json":
            continue
        try:
            known = files.read_record(record.Record, path)
        except OpError:  # damaged: it says so where that application is
            continue
        if known is not None and known.app:
            yield Layout(known.app, Path(known.base or "/srv"))


# -- the keys


def _home() -> List[str]:
    """sshd wants root or the user as the owner of everything above the keys; nobody else writes
    there."""
    folders = (layout.STATE, HOME, KEYS.parent)
    return [str(one) for one in folders if files.directory(one, 0o755)]


def _text() -> List[str]:
    try:
        return KEYS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []


def _name_in(line: str) -> Optional[str]:
    """The monitor that a line is of; None for other lines."""
    last = line.split()[-1:]
    return last[0][len(_MARK) :] if last and last[0].startswith(_MARK) else None


def _lines() -> Dict[str, str]:
    """The lines of monitors, by their names."""
    named = ((_name_in(line), line) for line in _text())
    return {name: line for name, line in named if name is not None}


def _others() -> List[str]:
    """The lines that somebody else wrote."""
    return [line for line in _text() if _name_in(line) is None]


def _write(lines: Dict[str, str], others: List[str]) -> bool:
    text = "".join(line + "\n" for line in (*others, *lines.values()))
    return files.write(KEYS, text.encode("utf-8", "surrogateescape"))


def status(ctx: Context, request: AskMonitors) -> Monitors:
    """Who may look at this host; changes nothing."""
    keys = {name: _key_in(line) for name, line in _lines().items()}
    return Monitors(USER, keys, *installed())


def _key_in(line: str) -> str:
    return " ".join(line.split()[-3:-1])


# -- away with it


def forbid(ctx: Context, request: ForbidMonitor) -> Forbidden:
    """Raises OpError("account")."""
    removed: List[str] = []
    with locks.shared_parts(ctx):
        lines = _lines()
        if lines.pop(request.name, None) is not None:
            _write(lines, _others())
            removed.append(f"key of {request.name}")
            # Whoever has logged in by it stays so. The others come again.
            end_sessions()
        if not lines and not any(map(_is_key, _others())):
            removed += remove_all(ctx, ctx.at)
    return Forbidden(tuple(removed), tuple(lines))


def _is_key(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def remove_all(ctx: Context, at: Layout) -> List[str]:
    """Remove everything that was made for monitors, also of an application `at` that is not set up
    any more; the shared lock is held."""
    gone: List[str] = []
    files.remove(KEYS)
    known = _entry()
    if known is not None and known.pw_dir == str(HOME):
        for one in (at, *_apps()):
            watchers.let_out(one, known.pw_uid)
        end_sessions()
        children.check(ctx, ["userdel", USER], "account", f"user {USER} does not go")
        gone.append(f"user {USER}")
    return gone + [str(path) for path in (HOME, LOOK) if files.remove_tree(path)]


def end_sessions() -> None:
    """End what runs as the user: its connections, and what its logins have started. Raises
    OpError("account")."""
    known = _entry()
    if known is not None and systemd.is_booted():  # killed, it would count as a failed unit
        argv = ["systemctl", "stop", f"user@{known.pw_uid}.service"]
        children.run(None, argv, timeout_seconds=_END_SECONDS)
    end = time.monotonic() + _END_SECONDS
    while known is not None and (pids := _processes(known.pw_uid)):
        if time.monotonic() > end:
            raise OpError("account", f"processes of {USER} do not end: {pids}")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_POLL_SECONDS)


def _processes(uid: int) -> List[int]:
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                found.append(int(name))
        except OSError:  # it has ended
            continue
    return found
