"""Prepare a bare host for one application, step by step; running it again changes nothing.

What it makes is recorded first (`/var/lib/cartwheel/APP.json`), so that a killed setup can go on,
`uninstall` removes exactly that, and files and users of others are refused.
"""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.look import facts
from cartwheel.host.packages import kinds
from cartwheel.host.release import access
from cartwheel.host.state import record
from cartwheel.host.system import children, files, locks
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.upkeep import runtime
from cartwheel.host.web import chosen, configuration, front_door, shared_file
from cartwheel.host.web.chosen import web_server
from cartwheel.host.web.kinds import named
from cartwheel.host.wire.facts import Interpreter
from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.setup import Changes, Refresh, Setup

_CALL_SECONDS = 60.0


def setup(ctx: Context, request: Setup) -> Changes:
    """Packages, interpreter, user, directories, runtime.

    Raises OpError: "not-ours", "web-server-changed", "port-taken", "python-version",
    "python-reach", or, for packages, "packages" and "package-manager".
    """
    _refuse_out_of_reach(facts.interpreter(request.python, request.user), request.user)
    _refuse_other_site(ctx.at, request)
    files.directory(layout.STATE, 0o755)
    _record(ctx.at, request)
    changes: List[str] = []
    for step in (_packages, _interpreter, _account, _directories, _runtime):
        name = step.__name__.strip("_")
        ctx.emit(name, "start")
        done = step(ctx, request)
        ctx.emit(name, "changed" if done else "unchanged", ", ".join(done))
        changes += done
    return Changes(tuple(changes))


def _refuse_other_site(at: Layout, request: Setup) -> None:
    other = chosen.other_site(at, named(request.kind))
    if other is not None:
        raise OpError("web-server-changed", f"{other} stands, and web.server is {request.kind}")


def _record(at: Layout, request: Setup) -> None:
    """The record of what setup makes, written before anything is made."""
    known, user = record.read(at), request.user
    if known is not None:
        if known.user != user:
            why = f"{at.app} was set up with the user {known.user}, not {user}"
            raise OpError("not-ours", why)
        if known.web_server != request.kind:
            record.write(at, replace(known, web_server=request.kind))
        return
    if at.root.exists():
        raise OpError("not-ours", f"{at.root} exists and was not created by Cartwheel")
    if _exists(user):
        raise OpError("not-ours", f"the user {user} already exists")
    made = record.Record(
        user=user,
        group=request.group,
        app=at.app,
        base=str(at.base),
        digest_key=Hidden(secrets.token_hex(32)),
        made_folders=_base_folders(at),
        web_server=request.kind,
    )
    record.write(at, made)


def _base_folders(at: Layout) -> Tuple[str, ...]:
    """Folders that setup makes down to the common one of all applications; they are removed with
    the last application."""
    made = [str(path) for path in (*reversed(at.base.parents), at.base) if not path.exists()]
    for path in layout.STATE.glob("*.json"):
        other = files.read_record(record.Record, path)
        if other is not None and other.base == str(at.base):
            made = [*other.made_folders, *made]
    return tuple(dict.fromkeys(made))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _packages(ctx: Context, request: Setup) -> List[str]:
    manager = kinds.of_this_host()
    web = web_server(ctx.at).packages if request.web_server else ()
    base = manager.base_packages if request.web_server or not request.balancer else ()
    missing = manager.missing([*web, *base, *request.packages])
    if not missing:
        return []
    if set(missing) & {*web}:
        _refuse_taken_port(ctx.at, request.listen)
    # Written first: a killed setup's changes are recorded too.
    before = record.needed(ctx.at)
    _own_packages(ctx.at, before, missing)
    try:
        manager.install(ctx, missing)
    except OpError:
        absent = manager.missing(missing)
        _own_packages(ctx.at, before, [name for name in missing if name not in absent])
        raise
    return ["installed " + name for name in missing]


def _own_packages(at: Layout, known: record.Record, more: List[str]) -> None:
    record.write(at, replace(known, packages=tuple(sorted({*known.packages, *more}))))


def _refuse_taken_port(at: Layout, port: int) -> None:
    holder = facts.listening_ports().get(str(port))
    if holder not in (None, web_server(at).program):
        raise OpError("port-taken", f"port {port} is used by {holder}")


def _interpreter(ctx: Context, request: Setup) -> List[str]:
    """A Python of the wanted version that can make a virtual environment."""
    wanted, names = request.python, []
    found = facts.interpreter(wanted, request.user)
    if found is None and not wanted.startswith("/"):
        manager = kinds.of_this_host()
        names += manager.python(wanted)
        try:
            manager.install(ctx, names)
        except OpError as error:
            why = f"Python {wanted} is missing and its packages cannot be installed"
            raise OpError("python-version", why, log=error.log) from error
        found = facts.interpreter(wanted, request.user)
    if found is None:
        why = facts.no_interpreter(wanted)
        text = f"no Python {wanted} on this host"
        raise OpError("python-version", text + (": " + why if why else ""))
    _refuse_out_of_reach(found, request.user)
    if not _is_whole(found.path):
        manager = kinds.of_this_host()
        rest = manager.rest_of(os.path.basename(os.path.realpath(found.path)), found.version)
        manager.install(ctx, rest)
        names += rest
    return ["installed " + name for name in names]


def _refuse_out_of_reach(found: Optional[Interpreter], user: str) -> None:
    if found is not None and found.obstacle:
        raise OpError("python-reach", f"{user} cannot run Python: {found.obstacle}")


# Distributions take parts of the standard library out (`PackageManager.rest_of`).
_NEEDED = (
    "import sys, venv, ssl, ctypes; sys.version_info >= (3, 10) or __import__('distutils.cmd')"
)


def _is_whole(python: str) -> bool:
    done = children.run(None, [python, "-I", "-c", _NEEDED], timeout_seconds=_CALL_SECONDS)
    return done.status == 0


def _account(ctx: Context, request: Setup) -> List[str]:
    """Make the app's user, and the group of its sockets, which only the web server and the app's
    user join."""
    changed: List[str] = []
    at, known = ctx.at, record.needed(ctx.at)
    user, group = known.user, known.group
    if not _exists(user):
        home = ["--home-dir", str(at.shared), "--no-create-home", "--shell", "/usr/sbin/nologin"]
        if any(entry.gr_name == user for entry in grp.getgrall()) and at.cache.exists():
            own = ["--gid", user]  # somebody removed the user alone
        else:
            own = ["--user-group"]
        _account_tool(ctx, ["useradd", "--system", *own, *_old_uid(at.shared), *home, user])
        changed.append("created user " + user)
    if not any(entry.gr_name == group for entry in grp.getgrall()):
        _account_tool(ctx, ["groupadd", "--system", *_old_gid(at.root), group])
        changed.append("created group " + group)
    if request.web_server:
        changed += access.join(ctx, web_server(at).user(), [group])
    return changed


def _old_uid(folder: Path) -> List[str]:
    """The number in the folder of a user that somebody removed: with it the files are its own."""
    number = folder.stat().st_uid if folder.exists() else 0
    taken = number == 0 or any(entry.pw_uid == number for entry in pwd.getpwall())
    return [] if taken else ["--uid", str(number)]


def _old_gid(folder: Path) -> List[str]:
    """The same for a group."""
    number = folder.stat().st_gid if folder.exists() else 0
    taken = number == 0 or any(entry.gr_gid == number for entry in grp.getgrall())
    return [] if taken else ["--gid", str(number)]


def _account_tool(ctx: Context, argv: List[str]) -> None:
    children.check(ctx, argv, "account", f"{argv[0]} failed for {argv[-1]}")


def _directories(ctx: Context, request: Setup) -> List[str]:
    at, known = ctx.at, record.needed(ctx.at)
    user = pwd.getpwnam(known.user)
    gate = grp.getgrnam(known.group).gr_gid
    log_group = grp.getgrnam("adm").gr_gid  # Debian's group of log readers
    wanted = [(Path(folder), 0o755, 0, 0) for folder in known.made_folders]
    if not at.root.exists():  # otherwise `tighten` does it
        wanted.append((at.root, 0o750, 0, gate))
    wanted += [
        (at.releases, 0o755, 0, 0),
        (at.cache, 0o750, 0, user.pw_gid),
        (at.cache / "wheels", 0o755, 0, 0),
        (at.cache / "pip", 0o700, user.pw_uid, user.pw_gid),
        # The web server may walk into what the app shares with it (media), never write.
        (at.shared, 0o750, user.pw_uid, gate),
        (layout.LOGS, 0o755, 0, 0),
        (at.logs, 0o750, 0, log_group),
        (layout.RUN, 0o755, 0, 0),
    ]
    sites = web_server(at).site(at.app).parent
    if request.web_server and not sites.exists():  # somebody removed it
        wanted.append((sites, 0o755, 0, 0))
    if request.balancer:
        wanted.append((at.balancer, 0o755, 0, 0))
    changed = [f"directory {one[0]}" for one in wanted if files.directory(*one)]
    changed += access.tighten(ctx, at, known.user, known.group)
    return changed + (_web_parts(ctx, at) if request.web_server else [])


def _web_parts(ctx: Context, at: Layout) -> List[str]:
    """What a host with web needs besides the site."""
    with locks.shared_parts(ctx):
        changed = shared_file.ensure(ctx, web_server(at))
    return changed + _token(ctx, at)


def _token(ctx: Context, at: Layout) -> List[str]:
    """Make the token of Cartwheel's probes; the web server is reloaded for a new one."""
    if front_door.known_token(at) is not None:
        return []
    front_door.ensure_token(at)
    if web_server(at).site(at.app).exists():
        with locks.shared_parts(ctx):
            configuration.reload(ctx, web_server(at))
    return ["token of probes"]


def _runtime(ctx: Context, request: Setup) -> List[str]:
    sources = own_sources()
    done = runtime.install(ctx, ctx.at, sources, request.host_files)
    return ["host side " + runtime.digest(sources)] if done else []


def own_sources() -> Dict[str, str]:
    """The sources of this very package, from the session's bundle."""
    # The session's own loader has it.
    loader = sys.modules["cartwheel.host"].__spec__.loader  # type: ignore[union-attr]  # above
    sources: Dict[str, str] = loader.sources()  # type: ignore[union-attr]  # above
    return {name: text for name, text in sources.items() if name != "cartwheel"}


def refresh(ctx: Context, request: Refresh) -> Done:
    """Before a deploy, update the host: the installed recover must understand this session's files,
    and others must not read them, whichever version set the host up."""
    at, known = ctx.at, record.needed(ctx.at)
    done = runtime.install(ctx, at, own_sources(), request.host_files)
    done |= bool(access.tighten(ctx, at, known.user, known.group))
    done |= request.has_web and bool(_web_parts(ctx, at))
    if request.digest_key and known.digest_key != request.digest_key:
        record.write(at, replace(known, digest_key=request.digest_key))
    return Done(done)
