"""What serves, since when, how well; the history; the logs. Changes nothing."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

from cartwheel.host import layout, recover
from cartwheel.host.layout import OLD_SLOTS, Layout, content_of
from cartwheel.host.look import facts
from cartwheel.host.process import health
from cartwheel.host.release import downloads, install, installer, leftovers
from cartwheel.host.state import freeze, journal, pending, releases
from cartwheel.host.system import children, files, locks, systemd
from cartwheel.host.system.context import ContactLost, Context, OpError
from cartwheel.host.web import front_door, nginx, nginx_config

Args = Dict[str, Any]

_LOOKS = 3  # a deploy switches at most once in so short a time; a rollback may follow it
_LISTED = ("release", "version", "seq", "created", "who", "cartwheel")  # of each release
_FOLLOW_SECONDS = 365 * 86400.0
_INDEX_SECONDS = 60.0


def status(ctx: Context, args: Args) -> Args:
    """One host's line of `fab status`: what should serve, and whether it does."""
    at = Layout(args["app"], Path(args["base"]))
    for _look in range(_LOOKS):
        wanted = recover.serving(at)
        answer = _status_of(at, wanted, args)
        if recover.serving(at) == wanted:  # else a deploy has switched meanwhile
            break
    return answer


def _status_of(at: Layout, wanted: Optional[Tuple[str, str]], args: Args) -> Args:
    units = [nginx.UNIT, at.boot_unit.name]
    parts: Dict[str, Callable[[], Any]] = {
        "marks": lambda: _marks(at),
        "history": lambda: _history(at, wanted),
        "units": lambda: systemd.states([*units, *([at.unit(*wanted)] if wanted else [])]),
        "instances": lambda: systemd.instances(at),
        # A broken disk is told by what cannot be read from it.
        "disk": lambda: {**facts.disk(at.root), "read_only": _is_read_only(at.root)},
    }
    if wanted is not None:
        parts["answers"] = lambda: _answers(at, wanted, args)
    found = facts.side_by_side(parts)
    states = found["units"]
    others = {one: active for one, active in found["instances"].items() if one != wanted}
    answer: Args = {
        **found["marks"],
        **found["history"],
        "release": wanted[0] if wanted else None,
        "disk": found["disk"],
        "nginx": {
            "active": states[nginx.UNIT].active,
            "unit_file": states[nginx.UNIT].unit_file,
            "site": nginx.site(at).is_file(),
            "token": front_door.known_token(at) is not None,
        },
        "boot": states[at.boot_unit.name].unit_file,
        "boot_unit": at.boot_unit.name,
        "also_running": [one[0] for one in others if others[one] != systemd.STOPPING],
        "stopping": [one[0] for one in others if others[one] == systemd.STOPPING],
    }
    if wanted is None:
        return answer
    return {**answer, **_instance(states[at.unit(*wanted)]), **found["answers"]}


def _marks(at: Layout) -> Args:
    """What stands in files about the application, whatever serves."""
    lock = locks.held_by(at.lock)
    return {
        "set_up": files.read_json(at.record) is not None,
        "current": releases.pointed(at.current),
        "stopped": files.read_json(at.stopped),
        "pending": pending.look(at),
        "lock": lock,
        "freeze": freeze.read(at),
        # What a session is making is none.
        "leftovers": [] if lock else [one.text for one in leftovers.find(at)],
    }


def _history(at: Layout, wanted: Optional[Tuple[str, str]]) -> Args:
    entries = journal.read(at.journal)
    serves = wanted[0] if wanted else None
    named, cut_off = releases.pointed(at.current), releases.cut_off(at, serves, entries)
    manifest = releases.manifest(at, serves) if serves else {}
    return {
        "last": entries[-1] if entries else None,
        "cut_off": cut_off,
        "cut_off_content": content_of(cut_off) if cut_off else None,
        "content": content_of(serves) if serves else None,
        "not_whole": releases.problem(at, named) if named else "",
        "rollback": releases.rollback_target(at, serves, entries),
        "version": manifest.get("version", ""),
    }


def _answers(at: Layout, wanted: Tuple[str, str], args: Args) -> Args:
    """What the instance says on its own socket, and what nginx passes on of it; both at once,
    so that one that hangs is waited for once (settings: health.timeout_seconds)."""
    probe = health.Probe.of(args["probe"])
    asked = facts.side_by_side(
        {
            "problem": lambda: health.ask_socket(at.socket(*wanted), probe),
            "front": lambda: front_door.look(at, probe, _port(at, args["listen"]), wanted[0]),
        }
    )
    return {**asked, "healthy": not asked["problem"]}


def _port(at: Layout, wanted: int) -> int:
    """Where nginx listens for the site as it is installed; the settings may be ahead of it."""
    own = str(nginx.site(at))
    ports = [port for one in nginx_config.servers() if one.file == own for port in one.ports]
    return wanted if wanted in ports or not ports else ports[0]


def _instance(state: systemd.UnitState) -> Args:
    return {
        "age_seconds": _age(state),
        "active": state.active,
        "sub": state.sub,
        "result": state.result,
        "workers": systemd.workers(state.main_pid),
        "suspended": systemd.suspended(state.main_pid),
        "memory_bytes": state.memory_bytes or systemd.memory_of_processes(state.main_pid),
        "restarts": state.restarts,
        "main_pid": state.main_pid,
    }


def _is_read_only(path: Path) -> bool:
    while not path.exists() and path != path.parent:
        path = path.parent
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _age(state: systemd.UnitState) -> Optional[float]:
    """Seconds for which the unit has been up, whatever this host's clock says."""
    if state.since_monotonic is None or not state.is_up:
        return None
    return round(time.clock_gettime(time.CLOCK_MONOTONIC) - state.since_monotonic, 1)


def list_releases(ctx: Context, args: Args) -> Args:
    at = Layout(args["app"], Path(args["base"]))
    whole = releases.complete(at)
    return {
        "releases": [{key: manifest.get(key) for key in _LISTED} for manifest in whole],
        "current": releases.pointed(at.current),
        "previous": releases.pointed(at.previous),
        "rollback": releases.rollback_target(at, releases.pointed(at.current)),
        "not_whole": releases.spoilt(at),
    }


def history(ctx: Context, args: Args) -> Args:
    at = Layout(args["app"], Path(args["base"]))
    return {"entries": journal.read(at.journal)[-int(args["lines"]) :]}


def logs(ctx: Context, args: Args) -> Args:
    """The journal of every instance of the app and nginx's logs of its site, as events
    `log`; with `follow` until contact is lost."""
    at = Layout(args["app"], Path(args["base"]))
    lines, follow = int(args["lines"]), bool(args["follow"])
    # A release starts with a digit: `shop` in an environment `web` is not `shop`.
    units = [
        word
        for slot in OLD_SLOTS  # numbered ones are called as the first of these
        for word in ("-u", "cartwheel-{}.{}.[0-9]*.service".format(at.app, slot))
    ]
    sources = [
        (
            "app",
            ["journalctl", "--no-pager", "-q", "-o", "short-iso", *units, "-n", str(lines)],
        ),
        ("nginx", ["tail", "-q", "-n", str(lines), *_nginx_logs(at)]),
    ]
    if follow:
        _follow(ctx, [(name, _following(argv)) for name, argv in sources])
        return {}
    for name, argv in sources:
        if argv[-1].isdigit() and name == "nginx":
            continue  # no log file yet
        _tell(ctx, name, argv, ctx.remaining())
    return {}


def _tell(ctx: Context, name: str, argv: List[str], seconds: float) -> None:
    """Every line as an event: `children` itself keeps only the last ones."""

    def tell(line: str) -> None:
        ctx.emit("log", "note", line, source=name)

    children.ask(argv, ctx=ctx, timeout_seconds=seconds, on_line=tell)


def _nginx_logs(at: Layout) -> List[str]:
    candidates = [
        Path("/var/log/nginx/{}.{}.log".format(at.app, kind)) for kind in ("access", "error")
    ]
    return [str(path) for path in candidates if path.exists()]


def _following(argv: List[str]) -> List[str]:
    return [argv[0], "-F" if argv[0] == "tail" else "--follow", *argv[1:]]


def _follow(ctx: Context, sources: "list[tuple[str, List[str]]]") -> None:
    """Run the followers side by side until contact is lost."""

    def one(name: str, argv: List[str]) -> None:
        try:
            children.ask(
                argv,
                ctx=ctx,
                timeout_seconds=_FOLLOW_SECONDS,
                on_line=lambda line: ctx.emit("log", "note", line, source=name),
            )
        except ContactLost:
            pass

    threads = [threading.Thread(target=one, args=source) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ctx.poll()


def examine(ctx: Context, args: Args) -> Args:
    """What `fab doctor` needs beyond the facts of a probe."""
    at = Layout(args["app"], Path(args["base"]))
    return {
        "status": status(ctx, args),
        "damage": releases.damage(at),
        "index": _index_complaint(ctx, at, args),
        "cache_bytes": downloads.size_bytes(at),
        "nginx_complaint": nginx.check(ctx) if shutil.which("nginx") else None,
    }


def _index_complaint(ctx: Context, at: Layout, args: Args) -> Optional[str]:
    """What this host's installer says when it asks the index for a package; "" if it answers,
    None where there is nothing to ask with yet."""
    pip = layout.PIP / args["pip_version"] / "pip"
    if args["installer"] == "pip" and not pip.exists():
        return None  # the first deploy brings it
    try:
        chosen = installer.of(args)
    except OpError:
        return None  # the plan refuses, and says so
    done = children.run(
        ctx,
        chosen.ask(),
        timeout_seconds=_INDEX_SECONDS,
        env={**install.environment(at), **chosen.index(), "UV_HTTP_RETRIES": "1", "TMPDIR": "/tmp"},
        user=(files.read_json(at.record) or {}).get("user"),
        step="mirror",
        stdin=b"pip\n",
    )
    if done.status == 0:
        return ""
    known = chosen.explain(done.output)
    said = done.output.splitlines() or [chosen.name + " failed"]
    return known[1] if known else said[-1]
