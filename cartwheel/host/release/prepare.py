"""Make a release on the host, with no effect on the live release: its input, and its completion."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterable, Iterator, Tuple, Union

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.release import marks
from cartwheel.host.state import releases, watchers, whole
from cartwheel.host.system import children, envfile, files
from cartwheel.host.system.context import Context, OpError, disk_full, no_room
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.making import BringTool, Complete, Configure, Upload
from cartwheel.host.wire.manifest import STATIC_ROOT
from cartwheel.host.wire.request import Done

_COMPILE_SECONDS = 60.0
_CALL_SECONDS = 30.0


def upload(ctx: Context, request: Upload) -> Done:
    """Put the payload into the cache under its SHA-256, unless it is there already."""
    wheel, path = request.wheel, ctx.at.wheel(request.wheel)
    if path.exists():
        return Done(changed=False)
    with _payload(ctx, request, "{} is not in the host's cache") as (payload, size_bytes):
        for folder in (path.parent.parent, path.parent):
            files.directory(folder, 0o755)
        try:
            files.store(payload, path, wheel.sha256)
        except OSError as error:
            if not disk_full(error):
                raise
            what = f"{wheel.filename} of {size_bytes >> 20} MB"
            raise no_room(what, ctx.about.base) from error
    return Done(changed=True)


@contextmanager
def _payload(
    ctx: Context, request: Union[Upload, BringTool], missing: str
) -> Iterator[Tuple[files.Readable, int]]:
    """The payload sent by the operator, or the download from the fleet's store; with its size."""
    if request.source is not None:
        from cartwheel.host.release import fetch

        with fetch.Download(ctx, request.source, request.wheel.sha256) as download:
            yield download, download.size_bytes
    elif ctx.blob is None:
        raise OpError("upload-damaged", missing.format(request.wheel.filename))
    else:
        size_bytes = ctx.blob.seek(0, os.SEEK_END)
        ctx.blob.seek(0)
        yield ctx.blob, size_bytes


def tool(ctx: Context, request: BringTool) -> Done:
    """Unpack the one pip or uv of this host, shared by all releases and applications."""
    is_uv = request.tool == "uv"
    target = (layout.UV if is_uv else layout.PIP) / request.version
    program = target / ("uv" if is_uv else "pip/__main__.py")
    if program.exists():
        return Done(changed=False)
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    prefix = f".new-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=str(target.parent)) as scratch:
        wheel = Path(scratch) / request.wheel.filename
        with _payload(ctx, request, "{} is not on the host") as (payload, _size_bytes):
            files.store(payload, wheel, request.wheel.sha256)
        unpacked = Path(scratch) / "unpacked"
        (_unpack_uv if is_uv else _unpack_pip)(wheel, unpacked)
        os.chmod(unpacked, 0o755)  # noqa: S103 - every app's user runs it
        # First: otherwise a power cut could keep the name of a torn pip, which would look complete.
        files.sync_filesystem(unpacked)
        try:
            os.rename(unpacked, target)
        except OSError:
            if not program.exists():  # otherwise another application installed it first
                raise
    files.fsync_dir(target.parent)
    return Done(changed=True)


def _unpack_pip(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    argv = [sys.executable, "-I", "-m", "compileall", "-q", str(folder)]
    children.run(None, argv, timeout_seconds=_COMPILE_SECONDS)


def _unpack_uv(wheel: Path, folder: Path) -> None:
    """Install only the program. Raises OpError("no-uv") if this host cannot run it."""
    folder.mkdir()
    program = folder / "uv"
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        with archive.open(inside) as source, open(str(program), "wb") as target:
            shutil.copyfileobj(source, target)
    os.chmod(program, 0o755)  # noqa: S103 - every app's user runs it
    argv, env = [str(program), "--version"], {"UV_NO_CONFIG": "1"}
    try:
        done = children.run(None, argv, timeout_seconds=_CALL_SECONDS, env=env)
        failed, said = done.status != 0, done.output
    except (OpError, OSError) as error:  # another machine's program is an OSError
        failed, said = True, str(error)
    if failed:
        why = said.strip().splitlines()[-1:] or ["no message"]
        raise OpError("no-uv", "uv does not run on this host: " + why[0], log=said)


def configure(ctx: Context, request: Configure) -> Done:
    """Write the release's own files: configuration, units, site, environment."""
    at, release = ctx.at, request.release
    folder = marks.opened(at, release)
    if marks.marked(at, release, "configure", request.digest):
        return Done(changed=False)
    own = pwd.getpwnam(request.user).pw_gid
    for name, text in request.files.items():
        # Static files are open to the web server, everything else only to the app.
        mode = 0o644 if name.endswith(".html") else 0o640
        files.write(folder / name, text.encode(), mode, (0, own))
    variables = {name: value.reveal() for name, value in request.env.items()}
    variables.update(_place(at, request))
    if request.has_static:
        variables[STATIC_ROOT] = str(at.static(release))
    for name in request.folders:
        _make_folder(Path(name), request.user)
    _make_locks(at, request.locks, own)
    files.write(folder / "env", envfile.dump(variables).encode(), 0o600)
    releases.point_slot(at, layout.first_of(release))
    marks.mark(at, release, "configure", request.digest)
    return Done(changed=True)


def _place(at: Layout, request: Configure) -> Dict[str, str]:
    """Write the application's files into the release; the variables with their paths."""
    folder, user = at.placed(request.release), pwd.getpwnam(request.user)
    if request.placed:
        files.directory(folder, 0o755)
        watchers.shut_out(folder)
    variables = {}
    for name, one in request.placed.items():
        path = folder / name
        owner = (user.pw_uid if one.owner == "app" else 0, user.pw_gid)
        files.write(path, one.content.reveal().encode(), one.mode, owner)
        if one.variable:
            variables[one.variable] = str(path)
        if one.link:
            _link_shared(at, request.release, one.link)
    return variables


def _make_locks(at: Layout, names: Iterable[str], group: int) -> None:
    """The files that processes lock; their own units may not create any."""
    if names:
        files.directory(at.locks, 0o755)
    for name in names:
        if not (at.locks / name).exists():
            files.write(at.locks / name, b"", 0o640, (0, group))


def _make_folder(path: Path, user: str) -> None:
    """A folder for the application's data; it stays when the application is removed. Raises
    OpError("not-ours") for one that somebody else has."""
    own = pwd.getpwnam(user)
    if not path.exists():
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.directory(path, 0o750, own.pw_uid, own.pw_gid)
    elif path.stat().st_uid != own.pw_uid:
        told = f"{path} exists and does not belong to {user}"
        hint = f"Run `chown {user} {path}` there, or name it in hardening.read_write_paths."
        raise OpError("not-ours", told, hint)


def _link_shared(at: Layout, release: str, name: str) -> None:
    """A link in `shared/`, through `current`; before the first switch to the release itself, which
    would not find its file otherwise. Raises OpError("not-ours") for another file there."""
    place = at.shared / name
    if place.exists() and not place.is_symlink():
        told = f"{place} is a file of the application, and not a link to its release"
        raise OpError("not-ours", told, "Remove or rename it, or name another file in [files].")
    of = at.current if releases.pointed(at.current) else at.release(release)
    files.link(place, os.path.relpath(str(of / at.placed(release).name / name), str(at.shared)))


def complete(ctx: Context, request: Complete) -> Done:
    """Make everything durable, then write the manifest: the release is complete."""
    at, manifest = ctx.at, request.manifest
    path = releases.manifest_path(at, manifest.release)
    if path.exists():
        return Done(changed=False)
    files.sweep(path.parent)
    files.sync_filesystem(at.releases)
    manifest = replace(whole.with_contents(at, manifest), seq=releases.next_sequence(at))
    files.write_json(path, to_json(manifest), 0o640)
    watchers.let_pass(path.parent)
    watchers.let_read(path)
    return Done(changed=True)
