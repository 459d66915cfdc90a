"""The configuration of a host's web server: test a change before it is made, reload, save
what was there and restore it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Set, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.system import children, files, systemd
from cartwheel.host.system.context import Context, OpError, scratch_prefix
from cartwheel.host.web import traffic
from cartwheel.host.web.server import Staged, WebServer
from cartwheel.host.wire.pending import Saved

_CALL_SECONDS = 30.0
_RETIREMENT_SECONDS = 5.0
_POLL_SECONDS = 0.02
_LOG_LINES, _LOGGED_SECONDS = 15, 60.0

# Around the user's own lines in a site's template; "FILE:LINE" in what a web server says.
EXTRA_BEGINS, EXTRA_ENDS = "# web.extra: from its line 1", "# web.extra: its end"
_PLACE = re.compile(r"(/[^\s:]+):(\d+)")

_LOG_TAIL = re.compile(r"\.log(\.\d+(\.gz)?)?$")

# Runs in a mount namespace of its own: the changed folders are laid over the real ones
# there, so the test reads exactly what the web server would after the change.
_STAGED = 'set -e; while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'


def check(ctx: Optional[Context], web: WebServer) -> str:
    """Test the installed configuration; "" if it is valid, else the web server's message."""
    return _tested(ctx, web, ()).errors


def _tested(
    ctx: Optional[Context], web: WebServer, laid: Sequence[Tuple[str, str]]
) -> children.Done:
    """Test it with files and folders that are laid over others; `errors` is "" if it is valid."""
    pairs = [path for pair in laid for path in pair]
    staged = ["unshare", "--mount", "sh", "-c", _STAGED, "sh", *pairs, "--"] if laid else []
    done = children.ask([*staged, *web.test_command], ctx=ctx, timeout_seconds=_CALL_SECONDS)
    said = done.errors or done.output or f"exit code {done.status}"
    wrong = said if done.status != 0 else web.overlooked(done.output, laid)
    return children.Done(done.status, f"{done.output}\n{done.errors}", wrong)


def check_staged(
    ctx: Optional[Context], web: WebServer, changes: Dict[str, Optional[str]], names: Sequence[str]
) -> None:
    """Test it as if `changes` (path -> text, or None: gone) were made. Changes nothing.

    `names` are our server names. Raises OpError: `web.broken` where it was broken before,
    "server-name-taken" or `web.refuses` where the change breaks it.
    """
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("web")) as scratch:
        laid: List[Tuple[str, str]] = []
        for folder in sorted({os.path.dirname(path) for path in changes}):
            copy = os.path.join(scratch, str(len(laid)))
            _copy_folder(folder, copy)
            for path, text in changes.items():
                if os.path.dirname(path) == folder:
                    _stage(Path(copy, os.path.basename(path)), text)
            laid.append((copy, folder))
        _judge_laid(ctx, web, laid, names, changes)


def check_laid(
    ctx: Optional[Context],
    web: WebServer,
    laid: Iterable[Tuple[Path, Path]],
    names: Sequence[str],
) -> None:
    """The same with files or folders that are laid over others, which are there."""
    paths = [(str(source), str(place)) for source, place in laid]
    _judge_laid(ctx, web, paths, names, {})


def _judge_laid(
    ctx: Optional[Context],
    web: WebServer,
    laid: Sequence[Tuple[str, str]],
    names: Sequence[str],
    texts: Staged,
) -> None:
    done = _tested(ctx, web, laid)
    taken = web.taken_name(done.output, names)
    if taken:
        raise OpError("server-name-taken", f"another site already has the server name {taken}")
    if done.errors:
        before = check(ctx, web)
        if before:
            message = f"{web.name}'s configuration was already broken: {web.complaint(before)}"
            raise OpError(web.broken, message, log=before)
        complaint = web.complaint(done.errors, texts)
        own = _own_line(complaint, texts)
        message = f"{web.name} rejects the rendered site: {complaint}"
        message = f"{web.name} rejects {own}: {complaint}" if own else message
        raise OpError(web.refuses, message, log=done.errors)


def _own_line(complaint: str, texts: Staged) -> str:
    """Which of the user's own lines (web.extra) it is about; "" if none."""
    found = _PLACE.search(complaint)
    text = texts.get(found.group(1)) if found else None
    if found is None or not text:
        return ""
    before = text.split("\n")[: int(found.group(2))]
    begun = [number for number, line in enumerate(before) if line.strip() == EXTRA_BEGINS]
    if not begun or EXTRA_ENDS in [line.strip() for line in before[begun[0] :]]:
        return ""
    return f"line {len(before) - 1 - begun[0]} of web.extra"


def _copy_folder(folder: str, copy: str) -> None:
    """Names as links to the real files' content would be: relative links keep their target."""
    os.mkdir(copy)
    for name in files.names(Path(folder)):
        real = os.path.realpath(os.path.join(folder, name))
        if os.path.isfile(real):
            shutil.copyfile(real, os.path.join(copy, name))


def _stage(path: Path, text: Optional[str]) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(text, encoding="utf-8")


def reload(ctx: Optional[Context], web: WebServer, *, start: bool = True) -> None:
    """Make the web server read its configuration; where it does not run, `start` it. On return
    only the new configuration takes connections (after some seconds at the latest).

    Raises OpError(`web.refuses`) with what it says, or "web-server-down" with what its unit says.
    """
    state = systemd.state(web.unit)
    if not start and state.is_at_rest:
        return
    if web.dies_of_reload:
        refuse_broken(ctx, web, web.refuses)
    main_pid, began = web.main_pid(state.main_pid), time.time()
    web.make_room(main_pid)
    before = web.taking_connections(systemd.worker_pids(main_pid))
    command = ["systemctl", "reload-or-restart", web.unit]
    done = children.run(ctx, command, timeout_seconds=_CALL_SECONDS)
    if done.status == 0:
        _await_retirement(web, before)
    if done.status != 0 or systemd.state(web.unit).is_at_rest:
        refuse_broken(None, web, web.refuses)
        log = _logged(web, began) or done.output
        message = f"{web.name} does not start or reload: {web.complaint(log)}"
        raise OpError("web-server-down", message, log=log)


def refuse_broken(ctx: Optional[Context], web: WebServer, slug: str) -> None:
    """Raise OpError(slug) if the installed configuration is broken."""
    said = check(ctx, web)
    if said:
        message = f"{web.name} rejects its configuration: {web.complaint(said)}"
        raise OpError(slug, message, log=said)


def complaints(web: WebServer) -> str:
    """The last lines that the web server and its unit have logged."""
    return _logged(web, time.time() - _LOGGED_SECONDS)


def _logged(web: WebServer, since: float) -> str:
    """What it has logged itself, and its unit."""
    own = [line.decode("utf-8", "replace") for line in traffic.tail(web.log)] if web.log else []
    new = [line for line in own if (web.look_at(line)[0] or 0.0) >= int(since)]
    return "\n".join([*new[-_LOG_LINES:], systemd.log(web.unit, _LOG_LINES, since)]).strip()


def _await_retirement(web: WebServer, before: Set[int]) -> None:
    """A reload is only asked for: until they hear of it, the old workers answer too."""
    end = time.monotonic() + _RETIREMENT_SECONDS
    while web.taking_connections(before) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)


def remove_logs(web: WebServer, name: str) -> List[str]:
    """Remove a site's logs, also rotated ones, and no other site's. Returns the removed paths."""
    found = [log for path in web.logs(name) for log in path.parent.glob(path.name + "*")]
    ours = [path for path in found if _LOG_TAIL.search(path.name)]
    return [str(path) for path in sorted(ours) if files.remove(path)]


def snapshot(paths: Iterable[str]) -> Dict[str, Optional[Saved]]:
    """The files at these paths now, to restore them byte for byte."""
    return {path: _remember(Path(path)) for path in paths}


def disabled(at: Layout) -> Dict[str, Optional[Saved]]:
    """A snapshot of the distribution's own files that setup took away; uninstall restores them."""
    return files.read_record(Dict[str, Optional[Saved]], at.disabled) or {}


def _remember(path: Path) -> Optional[Saved]:
    target = files.read_link(path)
    place = files.place_of(path)
    text = place.read_bytes().decode("utf-8", "surrogateescape") if place.exists() else None
    # An administrator's link stays: the file that it leads to is written and restored.
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
