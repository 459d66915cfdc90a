"""A release's own static files: a command makes them, and from then on nobody changes them.

The command is the application's code, run as its user. What it leaves may be a trap for root, who
gives the files their last owner and mode, and for the web server, which reads them. So each folder
is taken from the user before anybody looks into it, each file is changed by its descriptor, and
everything but plain files and folders is refused.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Optional

from cartwheel.host.process import advice
from cartwheel.host.release import access, marks, pip_output
from cartwheel.host.state import environment
from cartwheel.host.system import children, content_times, files, journald
from cartwheel.host.system.context import Context, OpError, no_room
from cartwheel.host.wire.making import MakeStatic
from cartwheel.host.wire.request import Done

_DEEPEST = 64
_KINDS = {**files.KINDS, stat.S_IFLNK: "a link"}


def make(ctx: Context, request: MakeStatic) -> Done:
    """Run the command, which fills an empty folder of the release; then the folder is root's.

    Raises OpError("static-failed"), ("static-unsafe") or ("disk-full").
    """
    at, release = ctx.at, request.release
    folder = at.static(release)
    if marks.marked(at, release, "static", request.command):
        return Done(changed=False)
    # First: the command runs the application's code, and the user still owns that.
    access.close(at, release, request.user)
    files.remove_tree(folder)
    user = pwd.getpwnam(request.user)
    files.directory(folder, 0o750, user.pw_uid, user.pw_gid)
    _run(ctx, request)
    if not take(folder, request.setting):
        told = f"{request.setting}: {request.command} made no file in STATIC_ROOT ({folder})"
        hint = (
            'The app must take the folder from there, e.g. STATIC_ROOT = os.environ["STATIC_ROOT"].'
        )
        raise OpError("static-failed", told, hint)
    _refuse_writers(folder, request)
    marks.mark(at, release, "static", request.command)
    return Done(changed=True)


def _run(ctx: Context, request: MakeStatic) -> None:
    at, command = ctx.at, request.command
    try:
        done = children.run(
            ctx,
            ["/bin/sh", "-c", command],
            timeout_seconds=request.timeout_seconds,
            env=environment.of_release(at, request.release),
            user=request.user,
            cwd=str(at.packages(request.release)),
            step="static",
            on_line=lambda line: journald.write(journald.HOOK, f"static: {line}"),
        )
    except OpError as error:
        if error.slug != "deadline":
            raise
        how = f"did not end within {request.timeout_seconds:g} s"
        told = f"{request.setting}: {command} {how}"
        raise OpError("static-failed", told, log=error.log) from None
    if done.status != 0:
        log = children.tail(done.output)
        if pip_output.says_full(done.output):
            raise no_room("the static files", str(at.base), log)
        told = f"{request.setting}: {command} ended with {done.status}"
        hint = advice.of_command('cd "$CARTWHEEL_CODE" && ' + command, done.output)
        raise OpError("static-failed", told, hint, log)


def take(folder: Path, setting: str) -> int:
    """Give a folder and all in it to root, readable for everybody who gets that far; the number of
    files. Raises OpError("static-unsafe") with the path of what is no plain file or folder."""
    fd = os.open(folder, files.READ_FOLDER)
    try:
        return _take(fd, folder, setting, depth=0)
    finally:
        os.close(fd)


def _take(fd: int, folder: Path, setting: str, depth: int) -> int:
    os.fchown(fd, 0, 0)
    os.fchmod(fd, 0o755)
    count = 0
    for name in sorted(os.listdir(fd)):
        path, status = folder / name, os.stat(name, dir_fd=fd, follow_symlinks=False)
        is_folder = stat.S_ISDIR(status.st_mode)
        wrong = "too deep" if is_folder and depth >= _DEEPEST else _wrong(status)
        if wrong:
            told = f"{setting}: the command left {_shown(path)}, which is {wrong}"
            raise OpError("static-unsafe", told)
        inner = os.open(name, files.READ_FOLDER if is_folder else files.READ_FILE, dir_fd=fd)
        try:
            if is_folder:
                count += _take(inner, path, setting, depth + 1)
                continue
            os.fchown(inner, 0, 0)
            os.fchmod(inner, 0o644)
            content_times.give(inner)
            count += 1
        finally:
            os.close(inner)
    return count


def _shown(path: Path) -> str:
    """A path on one line, whatever its name."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _wrong(status: os.stat_result) -> str:
    """What a file is that must not be served; "" for a plain file or a folder."""
    if stat.S_ISDIR(status.st_mode):
        return ""
    if not stat.S_ISREG(status.st_mode):
        return _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        return "a setuid or setgid file"
    return "also another file's name (a hard link)" if status.st_nlink > 1 else ""


def _refuse_writers(folder: Path, request: MakeStatic) -> None:
    """Who opened a file before it was root's could still write to it."""
    for pid in filter(str.isdigit, files.names(Path("/proc"))):
        path = _written(Path("/proc", pid), folder)
        if path is not None:
            told = f"{request.setting}: a process of {request.command} still writes {path}"
            hint = "The command must end after all that it has started."
            raise OpError("static-failed", told, hint)


def _written(process: Path, folder: Path) -> Optional[str]:
    """The first path below the folder that a process has open for writing."""
    try:
        for fd in os.listdir(process / "fd"):
            path = os.readlink(process / "fd" / fd)
            if path.startswith(f"{folder}/"):
                info = (process / "fdinfo" / fd).read_text(encoding="utf-8")
                flags = next(line for line in info.splitlines() if line.startswith("flags:"))
                if int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                    return path
    except (OSError, StopIteration):  # it has ended
        return None
    return None
