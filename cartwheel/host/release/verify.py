"""The checks of a release before it runs."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Callable, List, Union
from urllib.parse import unquote

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.process import advice
from cartwheel.host.release import access, borrow, install, installer, media, trial
from cartwheel.host.schedule import zones
from cartwheel.host.state import environment, releases
from cartwheel.host.system import children, tracebacks
from cartwheel.host.system.context import Context, OpError, scratch_prefix
from cartwheel.host.web import configuration
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.making import TestSite, Verify
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.served import Served

# Exit status of `pip check` and `uv pip check` for a finding; any other is a failure.
_DO_NOT_FIT = 1
_CHECK_SECONDS = 60.0

# Python's message about a refused write, or SQLite's, which names no path.
_REFUSED = re.compile(
    r"(?P<why>Read-only file system|Permission denied)(?:: b?['\"](?P<path>[^'\"]+))?"
    r"|unable to open database file|attempt to write a readonly database"
)
_TRACEBACK = "Traceback (most recent call last)"
_NOTES = 3

# A line of the lock: NAME==VERSION, or NAME @ the address of its file; then hashes.
_PINNED = re.compile(
    r"^([A-Za-z0-9][A-Za-z0-9._-]*)"
    r"(?:==([^ ;\\]+)| @ \S*/[^/\s-]+-([^/\s-]+?)(?:-\S+|\.tar\.gz|\.zip)(?=\s))",
    re.MULTILINE,
)


def verify(ctx: Context, request: Verify) -> Done:
    """Check everything that can be checked before it runs: packages, files, units, import, site.

    The checks are independent and run in parallel; of several failures the first one in this order
    is raised, so that the reported one is always the same.
    """
    at, release = ctx.at, request.release
    # First: the import runs the application's code as the user, who still owns the files.
    access.close(at, release, request.installing.user)
    media.ensure(ctx, request.served)
    checks: List[Callable[[], None]] = [
        lambda: _check_lock(at, release),
        lambda: _check_packages(ctx, at, release, request.installing),
        lambda: check_served(at, release, request.served),
        lambda: _check_unit(ctx, at, release),
        lambda: _check_import(ctx, at, request),
        lambda: _check_programs(at, request),
        lambda: _check_site(ctx, request),
    ]
    with ThreadPoolExecutor(len(checks)) as pool:
        running = [pool.submit(check) for check in checks]
    for one in running:
        one.result()
    return Done(changed=False)


def _check_lock(at: Layout, release: str) -> None:
    """Check that exactly the lock and the application are installed."""
    folder = at.release(release)
    lock = (folder / "lock.txt").read_text(encoding="utf-8")
    wanted = {
        (borrow.normal_name(name), version or unquote(of_file))
        for name, version, of_file in _PINNED.findall(lock)
    }
    packages = (folder / "venv").glob("lib/python*/site-packages/*.dist-info")
    found = set(map(borrow.distribution, packages))
    missing = sorted(name for name, _version in wanted - found)
    if missing or len(found) != len(wanted) + 1:
        there, wanted_count = len(found), len(wanted) + 1
        told = f"{there} packages are installed, but lock and application have {wanted_count}"
        raise OpError("install-failed", f"{told}; missing: {', '.join(missing) or 'none'}")


def _check_packages(ctx: Context, at: Layout, release: str, installing: Installing) -> None:
    chosen = installer.of(installing)
    done = children.run(
        ctx,
        chosen.check(install.python(at, release)),
        timeout_seconds=_CHECK_SECONDS,
        env=install.environment(at),
        user=installing.user,
        cwd=str(at.shared),
    )
    if done.status != 0:
        log = install.log(done.output)
        said = chosen.mismatch(log)
        if done.status != _DO_NOT_FIT:
            raise OpError("install-failed", "the packages could not be checked: " + said, log=log)
        raise OpError("dependency-missing", said, log=log)


def check_served(at: Layout, release: str, served: Served) -> None:
    """Check that the release has the folders of static files. Raises OpError("static-missing")."""
    for setting, name in served.packages.items():
        folder = access.served(at, release, name)
        if not folder.is_dir():
            why = f"{setting}: {name} is not in the release; searched in {folder}"
            raise OpError("static-missing", why)
    if served.made and not at.static(release).is_dir():
        why = f"{served.made}: the release has nothing that the command made"
        raise OpError("static-missing", why, "Deploy again: a new release runs the command.")


def _check_import(ctx: Context, at: Layout, request: Verify) -> None:
    """Check that gunicorn loads its configuration and the application, as in the service."""
    entry, seconds = request.entry, request.import_seconds
    try:
        tried = trial.run(ctx, at, request.release, seconds=seconds)
    except OpError as error:
        if error.slug != "deadline":
            raise
        why = f"{entry} was not imported within {seconds:g} s"
        hint = "If it only needs longer, raise health.deadline_seconds."
        raise OpError("import-failed", why, hint, children.tail(error.log)) from error
    if tried.problem:
        is_own = tracebacks.own_files(at.packages(request.release), entry)
        shown = tracebacks.shorten(tried.output, is_own)
        raise _import_error(at, entry, replace(tried, output=shown))
    for path in tried.refused[:_NOTES]:
        told = (
            f"{entry} could not write {path} during its import; its own files belong in {at.shared}"
        )
        ctx.emit("verify", "note", told)


def _import_error(at: Layout, entry: str, tried: trial.Trial) -> OpError:
    log = children.tail(tried.output)
    lines = tried.output.strip().splitlines()
    if not tried.began:
        why = lines[-1].strip() if lines else "no message"
        told = f"systemd cannot run it as a service ({tried.problem}): {why[:200]}"
        return OpError("unit-refused", told, log=log)
    path = _written(tried)
    if path:
        told = f"{entry} writes {path} when it is imported, and may not write there"
        return OpError(
            "read-only", f"{told}; its own files belong in {at.shared}", advice.of_log(path), log
        )
    reason = lines[-1].strip() if lines else tried.problem
    if not tried.problem.startswith("exit"):  # it was killed
        reason = f"{tried.problem} ({reason})"
    told = f"{entry} cannot be imported: {reason[:200]}"
    return OpError("import-failed", told, advice.of_log(tried.output), log)


def _written(tried: trial.Trial) -> str:
    """The path whose refused write ended it; "" if something else did."""
    found = _REFUSED.search(tried.output.rpartition(_TRACEBACK)[2])
    if found is None:
        return ""
    named = found.group("path")
    seen = [path for path in tried.refused if not named or (path + "/").endswith(named + "/")]
    if seen:
        return seen[-1]
    # A read may be refused too. If a write was, some call was not made by Python.
    return named if named and found.group("why").startswith("Read-only") else ""


def _check_programs(at: Layout, request: Verify) -> None:
    """Check that the host has the program of each process and timer, as its unit will look for it,
    and the time zones of timers."""
    path = environment.of_release(at, request.release)["PATH"]
    for setting, program in request.programs.items():
        if program and shutil.which(program, path=path) is None:
            told = f"{setting}: there is no program {program}"
            hint = f"Add its package to the app's requirements or to host.packages; PATH is {path}."
            raise OpError("no-program", told, hint)

    for setting, zone in request.zones.items():
        try:
            zones.zone(zone)
        except ValueError as error:
            hint = "Add `tzdata` to host.packages, or name a zone that the host has."
            raise OpError("no-zone", f"{setting}: {error}", hint) from error


def _check_unit(ctx: Context, at: Layout, release: str) -> None:
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("units")) as scratch:
        paths = []
        for process in releases.processes(at, release):
            one = replace(layout.first_of(release), process=process)
            paths.append(os.path.join(scratch, at.unit_file(one).name))
            shutil.copyfile(str(at.unit_source(one)), paths[-1])
        for name in releases.jobs(at, release):
            paths.append(os.path.join(scratch, at.job_unit(name, release).name))
            shutil.copyfile(str(at.job_source(name, release)), paths[-1])
        argv = ["systemd-analyze", "verify", *paths]
        done = children.run(ctx, argv, timeout_seconds=_CHECK_SECONDS)
    if done.status != 0:
        log = done.output.replace(scratch + "/", "")
        first = log.splitlines()[0] if log else "no reason given"
        raise OpError("unit-refused", "systemd rejects " + first, log=children.tail(log))


def test_site(ctx: Context, request: TestSite) -> Done:
    """Check a changed site for a release that was verified before. Raises OpError as
    `check_staged` does."""
    _check_site(ctx, request)
    return Done(changed=False)


def _check_site(ctx: Context, request: Union[Verify, TestSite]) -> None:
    changes = request.site_changes
    # Where no web server is left, a site can only go.
    if changes and (any(changes.values()) or shutil.which(web_server(ctx.at).program)):
        configuration.check_staged(ctx, web_server(ctx.at), changes, request.server_names)
