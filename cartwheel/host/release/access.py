"""File access: only the app and the web server reach the application's folder, and the web server
cannot read its code.

`/srv/APP` is open to the group of the app's sockets: the web server's user and the app's. Inside,
code belongs to the app's own group; static files are open to all who get that far.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import List, Set

from cartwheel.host.layout import Layout
from cartwheel.host.state import watchers
from cartwheel.host.system import children, content_times, files, systemd
from cartwheel.host.system.context import Context
from cartwheel.host.web.chosen import web_server
from cartwheel.host.web.server import WebServer

_ROOT = 0
_ANY_EXECUTE = 0o111
# Python compares the time of a source with that in its bytecode.
_BYTECODE_OF = ".py"


def join(ctx: Context, user: str, groups: List[str]) -> List[str]:
    """Make a user a member of groups; returns what changed, as text. Raises OpError("account")."""
    missing = [group for group in groups if user not in grp.getgrnam(group).gr_mem]
    if missing:
        argv = ["usermod", "-a", "-G", ",".join(missing), user]
        children.check(ctx, argv, "account", f"{user} could not join {', '.join(missing)}")
    return [f"{user} joined {group}" for group in missing]


def tighten(ctx: Context, at: Layout, user: str, group: str) -> List[str]:
    """Close the application's folders to everybody else, also on a host that an earlier version set
    up; returns what changed, as text. The application's own folder stays open while an instance
    runs that would lose access; the next run tries again."""
    own, gate = children.account(user).pw_gid, children.group_id(group)
    # Its own group is named too: a user's own unit may name only the other one.
    own_names = [one.gr_name for one in grp.getgrall() if one.gr_gid == own]
    changed = join(ctx, user, [group, *own_names])
    if not _is(at.root, 0o750, gate) and _all_belong(at, gate):
        files.directory(at.root, 0o750, _ROOT, gate)
        changed.append(f"closed {at.root}")
    if files.directory(at.cache, 0o750, _ROOT, own):
        changed.append(f"closed {at.cache}")
    close_logs(web_server(at), at.app)
    changed += _for_monitors(at)
    return changed


def _for_monitors(at: Layout) -> List[str]:
    """What monitors may read. Where that fails, a monitor says so, and a deploy goes on."""
    try:
        return watchers.let_in(at)
    except OSError:
        return []


def _is(path: Path, mode: int, gid: int) -> bool:
    status = path.stat()
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (_ROOT, gid, mode)


def _all_belong(at: Layout, gid: int) -> bool:
    """Whether every running instance is in the group; a process keeps the groups of its start."""
    units = [at.unit(one) for one in systemd.instances(at)]
    pids = [one.main_pid for one in systemd.states(units).values()]
    return all(gid in _groups(pid) for pid in pids if pid)


def _groups(pid: int) -> Set[int]:
    """All groups of a process: its primary one and proc(5)'s `Groups`."""
    lines = systemd.proc(pid, "status").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {int(word) for name in ("Gid", "Groups") for word in fields.get(name, "").split()}


def close(at: Layout, release: str, user: str) -> None:
    """Give the release to root, so that the application cannot change itself; only its group can
    read it.

    It uses file descriptors: the user still owns the files and could plant a link.
    """
    gid = pwd.getpwnam(user).pw_gid
    venv = str(at.release(release) / "venv")
    for _path, folders, names, fd in os.fwalk(venv, follow_symlinks=False):
        os.fchown(fd, _ROOT, gid)
        os.fchmod(fd, 0o750)
        for name in folders + names:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) or (status.st_nlink > 1 and status.st_uid == _ROOT):
                continue  # comes by itself; is an earlier release's too, and as it should be
            os.chown(name, _ROOT, gid, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                os.chmod(name, 0o750 if status.st_mode & _ANY_EXECUTE else 0o640, dir_fd=fd)


def served(at: Layout, release: str, static_dir: str) -> Path:
    """The release's folder of static files, below its installed packages."""
    packages = sorted((at.release(release) / "venv").glob("lib/python*/site-packages"))
    return (packages or [at.release(release)])[0] / static_dir.strip("/")


def open_served(at: Layout, release: str, static_dir: str) -> None:
    """Let the web server reach and read a closed release's static files, and nothing else; their
    times tell it which content they have."""
    folder = served(at, release, static_dir)
    if not folder.is_dir():
        return
    for path in folder.parents:
        if at.release(release) in path.parents:
            _allow(path, stat.S_IXOTH)
    for inside, _folders, names in os.walk(folder):
        _allow(Path(inside), stat.S_IROTH | stat.S_IXOTH)
        for name in names:
            _allow(Path(inside, name), stat.S_IROTH)
            if not name.endswith(_BYTECODE_OF):
                _give_time(Path(inside, name))


def _give_time(path: Path) -> None:
    try:
        fd = os.open(str(path), files.READ_FILE)
    except OSError:  # a link
        return
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            content_times.give(fd)
    finally:
        os.close(fd)


def _allow(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.lstat().st_mode)
    if mode & bits != bits and not path.is_symlink():
        os.chmod(path, mode | bits)


def close_logs(web: WebServer, name: str) -> None:
    """Make a site's logs before the web server makes them readable for everybody; mode and owner
    are those of Debian's logrotate. A link at this path stays."""
    try:
        owner = pwd.getpwnam(web.user()).pw_uid
    except KeyError:
        return  # the web server will say so
    group = grp.getgrnam("adm").gr_gid  # Debian's group of log readers
    for path in web.logs(name):
        try:
            fd = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        except OSError:
            continue
        with os.fdopen(fd, "wb"):
            if os.fstat(fd).st_mode & stat.S_IRWXO or os.fstat(fd).st_uid != owner:
                os.fchown(fd, owner, group)
                os.fchmod(fd, 0o640)
