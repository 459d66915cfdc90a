"""Everything of a release that can be known before it runs."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from typing import Any, Callable, Dict, List
from urllib.parse import unquote

from . import borrow, children, enter, install, layout, nginx, steps
from .context import Context, OpError, scratch_prefix
from .layout import Layout

Args = Dict[str, Any]

_PIP_CRASHED = 2  # UNKNOWN_ERROR of pip/_internal/cli/status_codes.py
_CHECK_SECONDS = 60.0

# A line of the lock: NAME==VERSION, or NAME @ the address of its file; then hashes.
_PINNED = re.compile(
    r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:==([^ ;\\]+)| @ \S*/[^/\s-]+-([^/\s-]+?)(?:-\S+|\.tar\.gz|\.zip)(?=\s))",
    re.MULTILINE,
)


def verify(ctx: Context, args: Args) -> Args:
    """Everything that can be known before it runs: packages, import, units, nginx.

    The checks are independent and run side by side.
    """
    at, release = steps.opened(args)
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
    wanted = {
        (borrow.normal_name(name), version or unquote(of_file))
        for name, version, of_file in _PINNED.findall(lock)
    }
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
        [install.python(at, release), "-I", str(pip), "--disable-pip-version-check", "check"],
        timeout_seconds=_CHECK_SECONDS,
        env=install.environment(at),
        user=args["user"],
        cwd=str(at.shared),
    )
    if done.status != 0:
        log = install.log(done.output)
        said = (log.strip().splitlines() or ["pip check failed"])[-1]
        if done.status == _PIP_CRASHED:
            raise OpError("install-failed", "the packages could not be checked: " + said, log=log)
        raise OpError("dependency-missing", said, log=log)


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
            log=steps.tail(error.log),
        ) from error
    if done.status != 0:
        lines = done.output.strip().splitlines()
        reason = lines[-1].strip() if lines else "no message"
        raise OpError(
            "import-failed",
            "{} does not import: {}".format(args["entry"], reason[:200]),
            log=steps.tail(done.output),
        )


def _check_units(ctx: Context, at: Layout, release: str) -> None:
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("units")) as scratch:
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
        raise OpError("unit-refused", "systemd refuses " + first, log=steps.tail(log))


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
