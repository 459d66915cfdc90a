"""Make a release on the host, with no effect on what serves: what goes in, what comes out whole."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.release import marks
from cartwheel.host.state import releases, whole
from cartwheel.host.system import children, envfile, files
from cartwheel.host.system.context import Context, OpError, disk_full, no_room

Args = Dict[str, Any]

_COMPILE_SECONDS = 60.0
_CALL_SECONDS = 30.0


def upload(ctx: Context, args: Args) -> Args:
    """Keep the payload in the cache under its SHA-256; nothing is sent or fetched that is there."""
    at = Layout(args["app"], Path(args["base"]))
    folder = at.cache / "wheels" / args["sha256"]
    path = folder / args["filename"]
    if path.exists():
        return {"changed": False}
    with _payload(ctx, args, "{} is not in the host's cache") as (payload, size_bytes):
        files.directory(at.cache / "wheels", 0o755)
        files.directory(folder, 0o755)
        try:
            files.store(payload, path, args["sha256"])
        except OSError as error:
            if not disk_full(error):
                raise
            what = "{} of {} MB".format(args["filename"], size_bytes >> 20)
            raise no_room(what, str(at.base)) from error
    return {"changed": True}


@contextmanager
def _payload(ctx: Context, args: Args, missing: str) -> Iterator[Tuple[files.Readable, int]]:
    """What the operator's side sent, or what the fleet's store has (`source`); its size."""
    if args.get("source") is not None:
        from cartwheel.host.release import fetch

        with fetch.Download(ctx, args["source"], args["sha256"]) as download:
            yield download, download.size_bytes
    elif ctx.blob is None:
        raise OpError("upload-damaged", missing.format(args["filename"]))
    else:
        size_bytes = ctx.blob.seek(0, os.SEEK_END)
        ctx.blob.seek(0)
        yield ctx.blob, size_bytes


def tool(ctx: Context, args: Args) -> Args:
    """Unpack the one pip or uv of this host, shared by all releases and applications."""
    is_uv = args["tool"] == "uv"
    target = (layout.UV if is_uv else layout.PIP) / args["version"]
    program = target / ("uv" if is_uv else "pip/__main__.py")
    if program.exists():
        return {"changed": False}
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=".new-{}-".format(os.getpid()), dir=str(target.parent)
    ) as scratch:
        wheel = Path(scratch) / args["filename"]
        with _payload(ctx, args, "{} is not on the host") as (payload, _size_bytes):
            files.store(payload, wheel, args["sha256"])
        unpacked = Path(scratch) / "unpacked"
        (_unpack_uv if is_uv else _unpack_pip)(wheel, unpacked)
        os.chmod(unpacked, 0o755)  # noqa: S103 (every app's user runs it)
        # First: with its name alone a power cut would leave a torn pip that looks whole.
        files.sync_filesystem(unpacked)
        try:
            os.rename(unpacked, target)
        except OSError:
            if not program.exists():  # else another application was as quick
                raise
    files.fsync_dir(target.parent)
    return {"changed": True}


def _unpack_pip(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    children.run(
        None,
        [sys.executable, "-I", "-m", "compileall", "-q", str(folder)],
        timeout_seconds=_COMPILE_SECONDS,
    )


def _unpack_uv(wheel: Path, folder: Path) -> None:
    """The program alone. Raises OpError("no-uv") where this host cannot run it."""
    folder.mkdir()
    program = folder / "uv"
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        with archive.open(inside) as source, open(str(program), "wb") as target:
            shutil.copyfileobj(source, target)
    os.chmod(program, 0o755)  # noqa: S103 (as above)
    argv, env = [str(program), "--version"], {"UV_NO_CONFIG": "1"}
    try:
        done = children.run(None, argv, timeout_seconds=_CALL_SECONDS, env=env)
        failed, said = done.status != 0, done.output
    except (OpError, OSError) as error:  # another machine's program is an OSError
        failed, said = True, str(error)
    if failed:
        why = said.strip().splitlines()[-1:] or ["no message"]
        raise OpError("no-uv", "uv does not run on this host: " + why[0], log=said)


def configure(ctx: Context, args: Args) -> Args:
    """Write the release's own files: configuration, units, site, environment."""
    at, release = marks.opened(args)
    folder = at.release(release)
    digest = args["digest"]
    if marks.marked(at, release, "configure", digest):
        return {"changed": False}
    own = pwd.getpwnam(args["user"]).pw_gid
    for name, text in args["files"].items():
        # What nginx serves is open to it, and all else to the app alone.
        mode = 0o644 if name.endswith(".html") else 0o640
        files.write(folder / name, text.encode(), mode, (0, own))
    files.write(folder / "env", envfile.dump(args["env"]).encode(), 0o600)
    releases.point_slot(at, layout.first_of(release))
    marks.mark(at, release, "configure", digest)
    return {"changed": True}


def complete(ctx: Context, args: Args) -> Args:
    """Make everything durable, then write the manifest: the release is whole."""
    at, release = marks.opened(args)
    path = releases.manifest_path(at, release)
    if path.exists():
        return {"changed": False}
    files.sweep(at.release(release))
    files.sync_filesystem(at.releases)
    manifest = {
        **args["manifest"],
        **whole.contents(at, release),
        "release": release,
        "seq": releases.next_sequence(at),
    }
    files.write_json(path, manifest, 0o640)
    return {"changed": True}
