"""Make a release on the host, step by step, with no effect on what serves.

Each step leaves its own mark (a digest of what went in) in `steps.json`; a step whose
mark fits has nothing to do, one that was interrupted starts from scratch.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

from . import borrow, children, enter, envfile, files, layout, nginx, pip_output, releases
from .context import Context, OpError, disk_full, no_room
from .layout import Layout

Args = Dict[str, Any]

_VENV_SECONDS = 60.0
_CHECK_SECONDS = 60.0
_TAIL_LINES = 30

# A line of the lock: NAME==VERSION, then hashes.
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)


def upload(ctx: Context, args: Args) -> Args:
    """Keep the payload in the cache under its SHA-256; nothing is sent that is there."""
    at = Layout(args["app"], Path(args["base"]))
    folder = at.cache / "wheels" / args["sha256"]
    path = folder / args["filename"]
    if path.exists():
        return {"changed": False}
    if ctx.blob is None:
        raise OpError("upload-damaged", "{} is not in the host's cache".format(args["filename"]))
    files.directory(at.cache / "wheels", 0o755)
    files.directory(folder, 0o755)
    try:
        files.store(ctx.blob, path, args["sha256"])
    except OSError as error:
        if not disk_full(error):
            raise
        megabytes = ctx.blob.seek(0, os.SEEK_END) >> 20
        what = "{} of {} MB".format(args["filename"], megabytes)
        raise no_room(what, str(at.base)) from error
    return {"changed": True}


def tool(ctx: Context, args: Args) -> Args:
    """Unpack the one pip of this host, shared by all releases and applications."""
    target = layout.PIP / args["version"]
    if (target / "pip" / "__main__.py").exists():
        return {"changed": False}
    if ctx.blob is None:
        raise OpError("upload-damaged", "pip {} is not on the host".format(args["version"]))
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=str(target.parent)) as scratch:
        wheel = Path(scratch) / args["filename"]
        files.store(ctx.blob, wheel, args["sha256"])
        unpacked = Path(scratch) / "pip"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
        _compile(unpacked)
        os.chmod(unpacked, 0o755)
        os.rename(unpacked, target)
    files.sync_filesystem(target)
    return {"changed": True}


def _compile(folder: Path) -> None:
    children.run(
        None,
        [sys.executable, "-I", "-m", "compileall", "-q", str(folder)],
        timeout_seconds=_VENV_SECONDS,
    )


def venv(ctx: Context, args: Args) -> Args:
    """An empty virtual environment at its final path, owned by the app's user for now."""
    at, release = _opened(args)
    digest = json.dumps([args["python"], args["python_version"]])
    if _marked(at, release, "venv", digest):
        return {"changed": False}
    folder = at.release(release) / "venv"
    _forget(at, release)
    files.remove_tree(folder)
    user = pwd.getpwnam(args["user"])
    files.directory(folder, 0o755, user.pw_uid, user.pw_gid)
    done = children.run(
        ctx,
        [args["python"], "-I", "-m", "venv", "--without-pip", str(folder)],
        timeout_seconds=_VENV_SECONDS,
        user=args["user"],
        step="venv",
    )
    if done.status != 0:
        raise _failed(at, "venv-failed", "the virtual environment could not be made", done.output)
    _mark(at, release, "venv", digest)
    return {"changed": True}


def install(ctx: Context, args: Args) -> Args:
    """Install exactly the lock and the application's wheel, every file by its hash."""
    at, release = _opened(args)
    digest = args["lock_sha256"] + args["wheel_sha256"]
    if _marked(at, release, "install", digest):
        return {"changed": False}
    wheel = at.cache / "wheels" / args["wheel_sha256"] / args["wheel_filename"]
    if files.sha256_of(wheel) != args["wheel_sha256"]:
        files.remove_tree(wheel.parent)  # the next run sends it anew
        raise OpError(
            "wheel-corrupt", "{} was damaged on the host".format(wheel.name), "Run it again."
        )
    if "installing" in _steps(at, release):
        # It was interrupted: pip cannot tell half a package from a whole one.
        _forget(at, release)
        venv(ctx, args)
    _mark(at, release, "installing", digest)
    user = pwd.getpwnam(args["user"])
    donor = borrow.from_earlier(at, release, args, (user.pw_uid, user.pw_gid))
    lock = args["lock"].rstrip() + "\n"
    application = "{} --hash=sha256:{}\n".format(wheel.as_uri(), args["wheel_sha256"])
    files.write(at.release(release) / "lock.txt", lock.encode())
    path = at.release(release) / "install.txt"
    files.write(path, ((lock if donor is None else "") + application).encode())

    def call(*more: str) -> children.Done:
        return children.run(
            ctx,
            [*_installer(at, release, args, path), *more],
            timeout_seconds=args["timeout_seconds"],
            env={**args["index_environment"], **_installer_environment(at)},
            user=args["user"],
            cwd=str(at.release(release) / "venv"),
            step="install",
        )

    done = call()
    if done.status != 0:
        error = _install_error(at, done.output)
        if error.slug == "index-lacks" and args["installer"] == "pip":
            refused = pip_output.refusal(call("-vv").output)
            if refused is not None:
                error = OpError(refused[0], refused[1], log=error.log)
        raise error
    _mark(at, release, "install", digest)
    return {"changed": True, "borrowed": donor}


def _python(at: Layout, release: str) -> str:
    return str(at.release(release) / "venv" / "bin" / "python")


def _installer(at: Layout, release: str, args: Args, lock: Path) -> List[str]:
    """The lock is complete, so nothing is resolved on the host (`--no-deps`)."""
    common = ["--no-deps", "--require-hashes", "-r", str(lock)]
    python = _python(at, release)
    if args["installer"] == "uv":
        uv = shutil.which("uv", path="/usr/local/bin:/usr/bin:/bin")
        if uv is None:
            raise OpError("no-uv", "deploy.installer is uv, but uv is not on this host")
        return [uv, "pip", "install", "--python", python, "--compile-bytecode", *common]
    # With the venv's own interpreter pip takes the venv for its home: no second start of
    # Python as with `pip --python`.
    pip = layout.PIP / args["pip_version"] / "pip"
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    return [python, "-I", str(pip), "install", *quiet, *common]


def _installer_environment(at: Layout) -> Dict[str, str]:
    cache = str(at.cache / "pip")
    return {"PIP_CACHE_DIR": cache, "UV_CACHE_DIR": cache + "/uv", "HOME": cache}


def _install_error(at: Layout, output: str) -> OpError:
    if pip_output.says_full(output):
        return no_room("the packages", str(at.base), _tail(output))
    known = pip_output.classify_pip_output(output)
    if known is not None:
        return OpError(known[0], known[1], log=_tail(output))
    return OpError("install-failed", "the packages could not be installed", log=_tail(output))


def configure(ctx: Context, args: Args) -> Args:
    """Write the release's own files: configuration, units, site, environment."""
    at, release = _opened(args)
    folder = at.release(release)
    digest = args["digest"]
    if _marked(at, release, "configure", digest):
        return {"changed": False}
    for name, text in args["files"].items():
        files.write(folder / name, text.encode(), 0o644)
    files.write(folder / "env", envfile.dump(args["env"]).encode(), 0o600)
    releases.point_slot(at, release, layout.SLOTS[0])
    _mark(at, release, "configure", digest)
    return {"changed": True}


def verify(ctx: Context, args: Args) -> Args:
    """Everything that can be known before it runs: packages, import, units, nginx.

    The checks are independent and run side by side.
    """
    at, release = _opened(args)
    checks: List[Callable[[], None]] = [
        lambda: _check_lock(at, release),
        lambda: _check_packages(ctx, at, release, args),
        lambda: _check_import(ctx, at, release, args),
        lambda: _check_units(ctx, at, release),
    ]
    if args["site_changes"]:
        checks.append(lambda: _check_site(ctx, args))
    _side_by_side(checks)
    return {"changed": False}


def _check_lock(at: Layout, release: str) -> None:
    """The installed set is exactly the lock, and the application."""
    folder = at.release(release)
    lock = (folder / "lock.txt").read_text(encoding="utf-8")
    wanted = {(borrow.normal_name(name), version) for name, version in _PINNED.findall(lock)}
    found = {
        borrow.distribution(path)
        for path in (folder / "venv").glob("lib/python*/site-packages/*.dist-info")
    }
    missing = sorted(name for name, _version in wanted - found)
    if missing or len(found) != len(wanted) + 1:
        raise OpError(
            "install-failed",
            "installed are {} packages, in the lock and the application are {}; missing: {}".format(
                len(found), len(wanted) + 1, ", ".join(missing) or "none"
            ),
        )


def _check_packages(ctx: Context, at: Layout, release: str, args: Args) -> None:
    pip = layout.PIP / args["pip_version"] / "pip"
    done = children.run(
        ctx,
        [_python(at, release), "-I", str(pip), "--disable-pip-version-check", "check"],
        timeout_seconds=_CHECK_SECONDS,
        env=_installer_environment(at),
        user=args["user"],
        cwd=str(at.shared),
    )
    if done.status != 0:
        said = done.output.strip().splitlines() or ["pip check failed"]
        raise OpError("dependency-missing", said[-1], log=_tail(done.output))


def _check_import(ctx: Context, at: Layout, release: str, args: Args) -> None:
    folder = at.release(release)
    gunicorn = str(folder / "venv" / "bin" / "gunicorn")
    options = ["--check-config", "--config", str(folder / "gunicorn.conf.py")]
    try:
        done = children.run(
            ctx,
            [gunicorn, *options, args["entry"]],
            timeout_seconds=args["import_seconds"],
            env=enter.environment(at, release),
            user=args["user"],
            cwd=str(at.shared),
            step="verify",
        )
    except OpError as error:
        if error.slug != "deadline":
            raise
        raise OpError(
            "import-failed",
            "{} does not import within {:g} s".format(args["entry"], args["import_seconds"]),
            log=_tail(error.log),
        ) from error
    if done.status != 0:
        lines = done.output.strip().splitlines()
        reason = lines[-1].strip() if lines else "no message"
        raise OpError(
            "import-failed",
            "{} does not import: {}".format(args["entry"], reason[:200]),
            log=_tail(done.output),
        )


def _check_units(ctx: Context, at: Layout, release: str) -> None:
    with tempfile.TemporaryDirectory(prefix="cartwheel-units-") as scratch:
        paths: List[str] = []
        for slot in layout.SLOTS:
            path = os.path.join(scratch, at.unit(release, slot))
            shutil.copyfile(str(at.release(release) / (slot + ".service")), path)
            paths.append(path)
        done = children.run(
            ctx, ["systemd-analyze", "verify", *paths], timeout_seconds=_CHECK_SECONDS
        )
    if done.status != 0:
        log = done.output.replace(scratch + "/", "")
        first = log.splitlines()[0] if log else "no word of why"
        raise OpError("unit-refused", "systemd refuses " + first, log=_tail(log))


def _check_site(ctx: Context, args: Args) -> None:
    nginx.check_staged(ctx, args["site_changes"], args["server_names"])


def _side_by_side(checks: List[Callable[[], None]]) -> None:
    """The first failure in the order of `checks` is raised: which one is told is no accident."""
    found: Dict[int, BaseException] = {}

    def guarded(place: int, one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            found[place] = error

    threads = [
        threading.Thread(target=guarded, args=(place, one)) for place, one in enumerate(checks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if found:
        raise found[min(found)]


def complete(ctx: Context, args: Args) -> Args:
    """Hand everything to root, make it durable, then write the manifest: the release is whole."""
    at, release = _opened(args)
    path = releases.manifest_path(at, release)
    if path.exists():
        return {"changed": False}
    _own(at.release(release) / "venv")
    files.sweep(at.release(release))
    files.sync_filesystem(at.releases)
    manifest = {**args["manifest"], "release": release, "seq": releases.next_sequence(at)}
    files.write_json(path, manifest)
    return {"changed": True}


def _own(folder: Path) -> None:
    """root owns what runs, so that the application cannot change itself.

    By file descriptors: the user who owns it still could put a link in our way.
    """
    for _path, folders, names, fd in os.fwalk(str(folder), follow_symlinks=False):
        os.fchown(fd, 0, 0)
        for name in folders + names:
            os.chown(name, 0, 0, dir_fd=fd, follow_symlinks=False)


def _opened(args: Args) -> Tuple[Layout, str]:
    at = Layout(args["app"], Path(args["base"]))
    release: str = args["release"]
    files.directory(at.release(release), 0o755)
    return at, release


def _steps(at: Layout, release: str) -> Dict[str, Any]:
    try:
        return files.read_json(at.release(release) / "steps.json") or {}
    except OpError:
        return {}


def _marked(at: Layout, release: str, step: str, digest: str) -> bool:
    if releases.manifest_path(at, release).exists():
        return True
    return bool(_steps(at, release).get(step) == digest)


def _mark(at: Layout, release: str, step: str, digest: str) -> None:
    files.write_json(at.release(release) / "steps.json", {**_steps(at, release), step: digest})


def _forget(at: Layout, release: str) -> None:
    files.remove(at.release(release) / "steps.json")


def _failed(at: Layout, slug: str, message: str, output: str) -> OpError:
    if pip_output.says_full(output):
        return no_room("the virtual environment", str(at.base), _tail(output))
    lines = output.strip().splitlines()
    return OpError(slug, message + (": " + lines[-1] if lines else ""), log=_tail(output))


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-_TAIL_LINES:])
