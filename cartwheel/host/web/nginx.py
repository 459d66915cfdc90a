"""The web server of a host: test a change before it is made, make it, reload."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Set

from cartwheel.host.layout import Layout
from cartwheel.host.system import children, files, systemd
from cartwheel.host.system.context import Context, OpError, scratch_prefix
from cartwheel.host.wire.codec import from_disk
from cartwheel.host.wire.pending import Saved

SITES = Path("/etc/nginx/conf.d")
UNIT = "nginx.service"
_CALL_SECONDS = 30.0
_RETIREMENT_SECONDS = 5.0
_POLL_SECONDS = 0.02
_EMERGENCY = re.compile(r"\[emerg\] (?:\d+#\d+: )?(.+)")
# Debian's default site takes `default_server`; it is a link into sites-available.
DEFAULT_SITE = Path("/etc/nginx/sites-enabled/default")

# Runs in a mount namespace of its own: the changed folders are laid over the real ones
# there, so `nginx -t` reads exactly what it would after the change.
_STAGED = 'set -e; while [ "$#" -gt 0 ]; do mount --bind "$1" "$2"; shift 2; done; exec nginx -t'


def site(at: Layout) -> Path:
    """The file with the application's own server."""
    return SITES / "cartwheel-{}.conf".format(at.app)


def sites(at: Layout) -> List[Path]:
    """All of the application's files in nginx's folder: on a balancer there is one more."""
    return [site(at), SITES / "cartwheel-{}_balancer.conf".format(at.app)]


def check(ctx: Optional[Context]) -> str:
    """`nginx -t` on what is installed; "" if well, else its complaint."""
    done = children.run(ctx, ["nginx", "-t", "-q"], timeout_seconds=_CALL_SECONDS)
    return "" if done.status == 0 else done.output


def check_staged(
    ctx: Optional[Context], changes: Dict[str, Optional[str]], names: List[str]
) -> None:
    """`nginx -t` as if `changes` (path -> text, or None: gone) were made. Changes nothing.

    `names` are our server names: for nginx a name that two sites claim is only a warning.
    Raises OpError("nginx-broken") where it was broken before, ("server-name-taken") or
    ("nginx-refuses") where the change breaks it.
    """
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("nginx")) as scratch:
        pairs: List[str] = []
        for folder in sorted({os.path.dirname(path) for path in changes}):
            copy = os.path.join(scratch, str(len(pairs)))
            _copy_folder(folder, copy)
            for path, text in changes.items():
                if os.path.dirname(path) == folder:
                    _stage(os.path.join(copy, os.path.basename(path)), text)
            pairs += [copy, folder]
        done = children.run(
            ctx,
            ["unshare", "--mount", "sh", "-c", _STAGED, "sh", *pairs],
            timeout_seconds=_CALL_SECONDS,
        )
    for name in names:
        if 'conflicting server name "{}"'.format(name) in done.output:
            raise OpError("server-name-taken", "another site is called {} already".format(name))
    if done.status != 0:
        before = check(ctx)
        if before:
            message = "nginx's configuration was broken before: " + _complaint(before)
            raise OpError("nginx-broken", message, log=before)
        message = "nginx refuses the rendered site: " + _complaint(done.output)
        raise OpError("nginx-refuses", message, log=done.output)


def _complaint(output: str) -> str:
    """What nginx says is wrong, and where."""
    found = _EMERGENCY.search(output)
    return found.group(1) if found else "see its output"


def _copy_folder(folder: str, copy: str) -> None:
    """Names as links to the real files' content would be: relative links keep their target."""
    os.mkdir(copy)
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        real = os.path.realpath(os.path.join(folder, name))
        if os.path.isfile(real):
            with open(real, "rb") as source, open(os.path.join(copy, name), "wb") as target:
                target.write(source.read())


def _stage(path: str, text: Optional[str]) -> None:
    if text is None:
        if os.path.lexists(path):
            os.unlink(path)
        return
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(text)


def reload(ctx: Optional[Context]) -> None:
    """Make nginx read its configuration, starting it where it does not run. On return only
    the new configuration takes connections (after some seconds at the latest).

    Raises OpError("nginx-refuses") with what nginx says.
    """
    before = _workers()
    done = children.run(
        ctx, ["systemctl", "reload-or-restart", "nginx"], timeout_seconds=_CALL_SECONDS
    )
    if done.status != 0:
        complaint = check(None) or done.output
        raise OpError("nginx-refuses", "nginx does not take its configuration", log=complaint)
    _await_retirement(before)


def _workers() -> Set[int]:
    """The processes of nginx that take connections, by the titles that they give themselves
    (ngx_process_cycle.c): those that end are "nginx: worker process is shutting down"."""
    main_pid = systemd.state(UNIT).main_pid
    try:
        children_of = Path("/proc/{0}/task/{0}/children".format(main_pid)).read_text().split()
    except OSError:
        return set()
    return {int(pid) for pid in children_of if _title(pid) == "nginx: worker process"}


def _title(pid: str) -> str:
    try:
        return Path("/proc/{}/cmdline".format(pid)).read_bytes().decode().strip("\0 ")
    except OSError:
        return ""


def _await_retirement(before: Set[int]) -> None:
    """A reload is only asked for: until they hear of it, the old workers answer too."""
    end = time.monotonic() + _RETIREMENT_SECONDS
    while before & _workers() and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)


def snapshot(paths: Iterable[str]) -> Dict[str, Optional[Saved]]:
    """What stands at these paths now, so that it can be put back byte for byte."""
    return {path: _remember(Path(path)) for path in paths}


def disabled(at: Layout) -> Dict[str, Optional[Saved]]:
    """A snapshot of what of nginx's own we took away, for uninstall to put back."""
    known = files.read_json(at.disabled) or {}
    return {path: was and from_disk(Saved, was) for path, was in known.items()}


def _remember(path: Path) -> Optional[Saved]:
    target = files.read_link(path)
    place = files.place_of(path)
    text = place.read_bytes().decode("utf-8", "surrogateescape") if place.exists() else None
    # What an administrator's link leads to is written, and put back, behind it.
    return None if target is None and text is None else Saved(target, text)


def put_back(memory: Dict[str, Optional[Saved]]) -> bool:
    """Restore a snapshot; True if anything had to be changed."""
    changed = False
    for name, was in memory.items():
        path = Path(name)
        if was is None:
            changed |= files.remove(path)
        if was is not None and was.link is not None:
            changed |= files.link(path, was.link)
        if was is not None and was.text is not None:
            text = was.text.encode("utf-8", "surrogateescape")
            place = files.place_of(path)
            if not place.exists() or place.read_bytes() != text:
                changed |= files.write(place, text)
    return changed
