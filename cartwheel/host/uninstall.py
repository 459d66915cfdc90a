"""Take an application away: the host is as setup found it, packages and `shared` aside.

`shared` (uploads, databases) is the application's own; it goes only when asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from . import children, drain, files, layout, locks, nginx, releases, systemd
from .context import Context, OpError
from .layout import Layout

Args = Dict[str, Any]

_DRAIN_SECONDS = 10.0
_STOP_SECONDS = 40.0
_CALL_SECONDS = 30.0


def uninstall(ctx: Context, args: Args) -> Args:
    """Stop, take the site away, then all that the record says is ours. Returns what went.

    args: app, base, remove_shared. Raises OpError("not-set-up").
    """
    at = Layout(args["app"], Path(args["base"]))
    record = files.read_json(at.record)
    if record is None:
        raise OpError("not-set-up", "{} is not set up on this host".format(at.app))
    removed: List[str] = []
    removed += _site(ctx, at, record)
    removed += _instances(at)
    removed += _boot_unit(ctx, at)
    removed += _directories(at, bool(args["remove_shared"]))
    removed += _account(ctx, at, record, bool(args["remove_shared"]))
    if not at.root.exists():
        files.remove(at.record)
    return {"removed": removed, "kept": [str(at.shared)] if at.shared.exists() else []}


def _site(ctx: Context, at: Layout, record: Args) -> List[str]:
    """Our site goes; the distribution's default site comes back if we had disabled it."""
    removed: List[str] = []
    site = nginx.SITES / ("cartwheel-" + at.app + ".conf")
    with locks.shared_parts(ctx):
        if files.remove(site):
            removed.append(str(site))
        if nginx.put_back(_disabled_by(at)):
            removed.append("restored " + str(nginx.DEFAULT_SITE))
        if removed:
            nginx.reload(ctx)
    return removed


def _disabled_by(at: Layout) -> Dict[str, Any]:
    memory = files.read_json(at.disabled)
    return memory or {}


def _instances(at: Layout) -> List[str]:
    gone: List[str] = []
    for release, slot in systemd.running(at):
        drain.wait_until_quiet(at.socket(release, slot), timeout_seconds=_DRAIN_SECONDS)
        systemd.stop(at.unit(release, slot), timeout_seconds=_STOP_SECONDS)
        gone.append("stopped " + at.unit(release, slot))
    for link in (at.current, at.fallback, at.previous):
        files.remove(link)
    for name in [*releases.names(at), *releases.leftovers(at)]:
        releases.remove(at, name)
        gone.append("release " + name)
    return gone


def _boot_unit(ctx: Context, at: Layout) -> List[str]:
    if not at.boot_unit.exists():
        return []
    children.run(
        ctx, ["systemctl", "disable", "--quiet", at.boot_unit.name], timeout_seconds=_CALL_SECONDS
    )
    files.remove(at.boot_unit)
    systemd.reload(ctx)
    return [at.boot_unit.name]


def _directories(at: Layout, remove_shared: bool) -> List[str]:
    removed: List[str] = []
    doomed = [at.cache, at.releases, at.lib, at.logs, layout.RUN / at.app]
    for path in [*doomed, at.shared] if remove_shared else doomed:
        if path.exists():
            files.remove_tree(path)
            removed.append(str(path))
    for path in (
        at.journal,
        at.stopped,
        at.pending,
        at.disabled,
        at.probe_map,
        Path("/etc/logrotate.d") / ("cartwheel-" + at.app + ".conf"),
    ):
        files.remove(path)
    if at.root.exists() and not any(at.root.iterdir()):
        at.root.rmdir()
        removed.append(str(at.root))
    return removed


def _account(ctx: Context, at: Layout, record: Args, remove_shared: bool) -> List[str]:
    """The user stays while `shared` does: its files must not become somebody else's."""
    if at.root.exists():
        return []
    user, group = record["user"], record["group"]
    children.check(ctx, ["groupdel", group], "account", "the group {} could not go".format(group))
    children.check(ctx, ["userdel", user], "account", "the user {} could not go".format(user))
    return ["group " + group, "user " + user]
