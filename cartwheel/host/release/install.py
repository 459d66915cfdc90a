"""A release's virtual environment: made empty, then filled with exactly the lock."""

from __future__ import annotations

import json
import os
import pwd
from typing import Dict, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.release import borrow, build_advice, installer, marks, pip_output
from cartwheel.host.release.installer import Installer
from cartwheel.host.system import children, files
from cartwheel.host.system.context import Context, OpError, no_room
from cartwheel.host.wire.making import Install, MakeVenv
from cartwheel.host.wire.request import Done

_VENV_SECONDS = 60.0


def venv(ctx: Context, request: MakeVenv) -> Done:
    """Make an empty virtual environment at its final path, owned by the app's user for now."""
    at, release, python = ctx.at, request.release, request.python
    folder = marks.opened(at, release) / "venv"
    digest = json.dumps([python.path, python.version])
    if marks.marked(at, release, "venv", digest):
        return Done(changed=False)
    marks.forget(at, release)
    files.remove_tree(folder)
    user = pwd.getpwnam(request.user)
    files.directory(folder, 0o755, user.pw_uid, user.pw_gid)
    argv = [python.path, "-I", "-m", "venv", "--without-pip", str(folder)]
    done = children.run(ctx, argv, timeout_seconds=_VENV_SECONDS, user=request.user, step="venv")
    if done.status != 0:
        raise _venv_error(at, done.output)
    marks.mark(at, release, "venv", digest)
    return Done(changed=True)


def install(ctx: Context, request: Install) -> Done:
    """Install exactly the lock and the application's wheel, every file by its hash."""
    at, release = ctx.at, request.release
    folder = marks.opened(at, release)
    digest = request.lock_sha256 + "".join(wheel.sha256 for wheel in request.wheels)
    if marks.marked(at, release, "install", digest):
        return Done(changed=False)
    _refuse_damaged(at, request)
    if "installing" in marks.done(at, release):
        # It was interrupted: pip cannot recognize an incomplete package.
        marks.forget(at, release)
        venv(ctx, MakeVenv(release, request.installing.user, request.python))
    marks.mark(at, release, "installing", digest)
    user = pwd.getpwnam(request.installing.user)
    # Somebody may have cleared the cache to make room.
    for cache in (at.cache / "pip", at.cache / "pip" / "tmp"):
        files.directory(cache, 0o700, user.pw_uid, user.pw_gid)
    donor = borrow.from_earlier(at, request, (user.pw_uid, user.pw_gid))
    lock = request.lock.rstrip() + "\n"
    own = "".join(
        f"{at.wheel(one).as_uri()} --hash=sha256:{one.sha256}\n" for one in request.wheels
    )
    texts = {
        "lock.txt": lock + request.lock_beside,
        "install.txt": (lock if donor is None else "") + own,
    }
    for name, text in texts.items():
        files.write(folder / name, text.encode(), 0o640, (0, user.pw_gid))
    _fill(ctx, request, donor)
    marks.mark(at, release, "install", digest)
    return Done(changed=True)


def _refuse_damaged(at: Layout, request: Install) -> None:
    for wheel in request.wheels:
        path = at.wheel(wheel)
        if files.sha256_of(path) != wheel.sha256:
            files.remove_tree(path.parent)  # the next run sends it again
            raise OpError("wheel-corrupt", f"{path.name} was damaged on the host", "Run it again.")


def _fill(ctx: Context, request: Install, donor: Optional[str]) -> None:
    """Run the installer. A `donor` makes its cache unnecessary; sent wheels do not stay in it."""
    at, release = ctx.at, request.release
    chosen = installer.of(request.installing)
    env = {**chosen.index(), **environment(at)}

    def call(argv: List[str]) -> children.Done:
        return children.run(
            ctx,
            argv,
            timeout_seconds=request.timeout_seconds,
            env=env,
            user=request.installing.user,
            cwd=str(at.release(release) / "venv"),
            step="install",
            doing=build_advice.doing,
        )

    lock = at.release(release) / "install.txt"
    command = chosen.install(python(at, release), lock, cached=donor is None)
    done = call(command)
    if done.status != 0:
        error = _install_error(at, chosen, done.output)
        if error.slug == "index-lacks" and chosen.name == "pip":
            refused = pip_output.refusal(call([*command, "-vv"]).output)
            if refused is not None:
                error = OpError(refused[0], refused[1], log=error.log)
        raise error
    own = [borrow.normal_name(wheel.filename.split("-")[0]) for wheel in request.wheels]
    forgetting = chosen.forget(own)
    if donor is None and forgetting:
        call(forgetting)


def python(at: Layout, release: str) -> str:
    """The release's own interpreter."""
    return str(at.release(release) / "venv" / "bin" / "python")


def environment(at: Layout) -> Dict[str, str]:
    """Variables that make pip and uv write to the app user's part of the cache, and ignore their
    own configuration files (see `package_index`)."""
    cache = str(at.cache / "pip")
    # TMPDIR: leftovers of a killed pip can be recognized (see `leftovers`).
    return {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_CACHE_DIR": cache,
        "UV_CACHE_DIR": cache + "/uv",
        # A release's files are copies: the owner of the cache could change linked files.
        "UV_LINK_MODE": "copy",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "HOME": cache,
        "TMPDIR": cache + "/tmp",
    }


def _install_error(at: Layout, chosen: Installer, output: str) -> OpError:
    said = log(output)
    if pip_output.says_full(output):
        return no_room("the packages", str(at.base), said)
    what, packages = build_advice.missing(output)
    if what:
        message = f"the build of {build_advice.built(output)} needs {what}"
        return OpError("install-failed", message, build_advice.remedy(what, packages), said)
    unknown = ("install-failed", "the packages could not be installed")
    slug, message = chosen.explain(output) or unknown
    return OpError(slug, message, log=said)


def _venv_error(at: Layout, output: str) -> OpError:
    said = log(output)
    if pip_output.says_full(output):
        return no_room("the virtual environment", str(at.base), said)
    last = output.strip().splitlines()[-1:]
    message = "the virtual environment could not be created"
    return OpError("venv-failed", ": ".join([message, *last]), log=said)


def log(output: str) -> str:
    """The part of pip's or uv's output that is worth showing."""
    return pip_output.without_credentials(children.tail(pip_output.without_crash(output)))
