"""Prepare a bare host for one application, step by step; running it again changes nothing.

What it makes is written down first (`/var/lib/cartwheel/APP.json`), so that a setup that
was killed goes on, `uninstall` takes away just that, and what others made is refused.
"""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.look import facts
from cartwheel.host.packages import kinds
from cartwheel.host.release import access
from cartwheel.host.system import children, files, locks
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.upkeep import runtime
from cartwheel.host.web import configuration, front_door
from cartwheel.host.web.kinds import web_server
from cartwheel.host.wire.facts import Interpreter

Args = Dict[str, Any]

_CALL_SECONDS = 60.0


def setup(ctx: Context, args: Args) -> Args:
    """Packages, interpreter, user, directories, runtime. Returns what changed.

    Raises OpError: "not-ours", "python-version", "python-reach", "packages", "package-manager",
    "port-taken".
    """
    at = Layout(args["app"], Path(args["base"]))
    _refuse_out_of_reach(facts.interpreter(args["python"], args["user"]), args["user"])
    files.directory(layout.STATE, 0o755)
    record = _record(at, args)
    changes: List[str] = []
    for step in (_packages, _interpreter, _account, _directories, _runtime):
        name = step.__name__.strip("_")
        ctx.emit(name, "start")
        done = step(ctx, at, record, args)
        ctx.emit(name, "changed" if done else "unchanged", ", ".join(done))
        changes += done
    return {"changes": changes}


def _record(at: Layout, args: Args) -> Args:
    """The record of what is ours, made before the first thing is made."""
    record = files.read_json(at.record)
    if record is not None:
        if record["user"] != args["user"]:
            raise OpError(
                "not-ours",
                "{} was set up with the user {}, not {}".format(
                    at.app, record["user"], args["user"]
                ),
            )
        return record
    if at.root.exists():
        raise OpError("not-ours", "{} exists and was not made by Cartwheel".format(at.root))
    if _exists(args["user"]):
        raise OpError("not-ours", "the user {} exists already".format(args["user"]))
    record = {
        "app": at.app,
        "base": str(at.base),
        "user": args["user"],
        "group": args["group"],
        "digest_key": secrets.token_hex(32),
        "packages": [],
        "made_folders": _base_folders(at),
    }
    files.write_json(at.record, record, 0o600)
    return record


def _base_folders(at: Layout) -> List[str]:
    """Folders down to that of all applications which are ours, and go with the last of them."""
    made = [str(path) for path in (*reversed(at.base.parents), at.base) if not path.exists()]
    for path in layout.STATE.glob("*.json"):
        other = files.read_json(path) or {}
        if other["base"] == str(at.base):
            made = other.get("made_folders", []) + made
    return list(dict.fromkeys(made))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _packages(ctx: Context, at: Layout, record: Args, args: Args) -> List[str]:
    manager = kinds.of_this_host()
    web = web_server().packages
    for_web = (*web, *manager.base_packages) if args["web_server"] else ()
    wanted = [*for_web, *args["packages"]]
    missing = manager.missing(wanted)
    if not missing:
        return []
    if set(missing) & {*web}:
        _refuse_taken_port(args["listen"])
    # Written first: what a killed setup installed is ours too.
    before = record["packages"]
    _own_packages(at, record, [*before, *missing])
    try:
        manager.install(ctx, missing)
    except OpError:
        absent = manager.missing(missing)
        _own_packages(at, record, [*before, *(name for name in missing if name not in absent)])
        raise
    return ["installed " + name for name in missing]


def _own_packages(at: Layout, record: Args, names: List[str]) -> None:
    record["packages"] = sorted(set(names))
    files.write_json(at.record, record, 0o600)


def _refuse_taken_port(port: int) -> None:
    holder = facts.listening_ports().get(str(port))
    if holder not in (None, web_server().program):
        raise OpError("port-taken", "port {} is held by {}".format(port, holder))


def _interpreter(ctx: Context, at: Layout, record: Args, args: Args) -> List[str]:
    """A Python of the wanted version that can make a virtual environment."""
    changed: List[str] = []
    found = facts.interpreter(args["python"], args["user"])
    if found is None and not args["python"].startswith("/"):
        manager = kinds.of_this_host()
        names = manager.python(args["python"])
        try:
            manager.install(ctx, names)
        except OpError as error:
            raise OpError(
                "python-version",
                "Python {} is not here and its packages cannot be had".format(args["python"]),
                log=error.log,
            ) from error
        changed += ["installed " + name for name in names]
        found = facts.interpreter(args["python"], args["user"])
    if found is None:
        why = facts.no_interpreter(args["python"])
        text = "no Python {} on this host".format(args["python"])
        raise OpError("python-version", text + (": " + why if why else ""))
    _refuse_out_of_reach(found, args["user"])
    if not _is_whole(found.path):
        manager = kinds.of_this_host()
        file = os.path.basename(os.path.realpath(found.path))
        names = manager.rest_of(file, found.version)
        manager.install(ctx, names)
        changed += ["installed " + name for name in names]
    return changed


def _refuse_out_of_reach(found: Optional[Interpreter], user: str) -> None:
    if found is not None and found.obstacle:
        raise OpError("python-reach", "{} cannot run Python: {}".format(user, found.obstacle))


# Distributions take parts of the standard library out (`PackageManager.rest_of`).
_NEEDED = (
    "import sys, venv, ssl, ctypes; sys.version_info >= (3, 10) or __import__('distutils.cmd')"
)


def _is_whole(python: str) -> bool:
    done = children.run(None, [python, "-I", "-c", _NEEDED], timeout_seconds=_CALL_SECONDS)
    return done.status == 0


def _account(ctx: Context, at: Layout, record: Args, args: Args) -> List[str]:
    """The app's user, and the group of its sockets, which the web server and the app's user
    join and nobody else."""
    changed: List[str] = []
    user, group, web_user = record["user"], record["group"], web_server().user()
    if not _exists(user):
        home = ["--home-dir", str(at.shared), "--no-create-home", "--shell", "/usr/sbin/nologin"]
        _account_tool(ctx, ["useradd", "--system", "--user-group", *home, user])
        changed.append("made user " + user)
    if not any(entry.gr_name == group for entry in grp.getgrall()):
        _account_tool(ctx, ["groupadd", "--system", group])
        changed.append("made group " + group)
    if args["web_server"]:
        changed += access.join(ctx, web_user, [group])
    return changed


def _account_tool(ctx: Context, argv: List[str]) -> None:
    children.check(ctx, argv, "account", "{} failed for {}".format(argv[0], argv[-1]))


def _directories(ctx: Context, at: Layout, record: Args, args: Args) -> List[str]:
    user = pwd.getpwnam(record["user"])
    gate = grp.getgrnam(record["group"]).gr_gid
    log_group = grp.getgrnam("adm").gr_gid  # who reads logs on Debian
    wanted = (
        *((Path(folder), 0o755, 0, 0) for folder in record.get("made_folders", [])),
        *(((at.root, 0o750, 0, gate),) if not at.root.exists() else ()),  # else `tighten`
        (at.releases, 0o755, 0, 0),
        (at.cache, 0o750, 0, user.pw_gid),
        (at.cache / "wheels", 0o755, 0, 0),
        (at.cache / "pip", 0o700, user.pw_uid, user.pw_gid),
        # The web server may walk into what the app shares with it (media), never write.
        (at.shared, 0o750, user.pw_uid, gate),
        (layout.LOGS, 0o755, 0, 0),
        (at.logs, 0o750, 0, log_group),
        (layout.RUN, 0o755, 0, 0),
        *(((at.balancer, 0o755, 0, 0),) if args["balancer"] else ()),
    )
    changed: List[str] = []
    for path, mode, uid, gid in wanted:
        if files.directory(path, mode, uid, gid):
            changed.append("directory {}".format(path))
    changed += access.tighten(ctx, at, record["user"], record["group"])
    return changed + _token(ctx, at)


def _token(ctx: Context, at: Layout) -> List[str]:
    """The token of our probes; the web server learns of one that is made anew."""
    if front_door.known_token(at) is not None:
        return []
    front_door.ensure_token(at)
    if web_server().site(at.app).exists():
        with locks.shared_parts(ctx):
            configuration.reload(ctx, web_server())
    return ["token of probes"]


def _runtime(ctx: Context, at: Layout, record: Args, args: Args) -> List[str]:
    sources = own_sources()
    done = runtime.install(ctx, at, sources, os.path.realpath(sys.executable), args["host_files"])
    return ["host side " + runtime.digest(sources)] if done else []


def own_sources() -> Dict[str, str]:
    """The sources of this very package, from the session's bundle."""
    loader = sys.modules["cartwheel.host"].__spec__.loader  # type: ignore[union-attr]
    sources: Dict[str, str] = loader.sources()  # type: ignore[union-attr]
    return {name: text for name, text in sources.items() if name != "cartwheel"}


def refresh(ctx: Context, args: Args) -> Args:
    """Before a deploy: the installed recover must understand what this session writes, and
    others read nothing, whichever version set the host up."""
    at = Layout(args["app"], Path(args["base"]))
    record = files.read_json(at.record)
    if record is None:
        raise OpError("not-set-up", "this host is not set up for {}".format(at.app))
    done = runtime.install(
        ctx, at, own_sources(), os.path.realpath(sys.executable), args["host_files"]
    )
    done |= bool(access.tighten(ctx, at, record["user"], record["group"]))
    done |= bool(_token(ctx, at))
    if args.get("digest_key") and record.get("digest_key") != args["digest_key"]:
        files.write_json(at.record, {**record, "digest_key": args["digest_key"]}, 0o600)
    return {"changed": done}
