"""What serves, since when, how well; the history; the logs. Changes nothing."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from . import (
    children,
    files,
    freeze,
    health,
    journal,
    leftovers,
    locks,
    nginx,
    package_index,
    pending,
    pip_output,
    recover,
    releases,
    systemd,
)
from .context import ContactLost, Context
from .layout import PIP, SLOTS, Layout

Args = Dict[str, Any]

_FOLLOW_SECONDS = 365 * 86400.0
_INDEX_SECONDS = 60.0


def status(ctx: Context, args: Args) -> Args:
    """One host's line of `fab status`."""
    at = Layout(args["app"], Path(args["base"]))
    wanted = recover.serving(at)
    entries = journal.read(at.journal)
    lock = locks.held_by(at.lock)
    whole = [manifest["release"] for manifest in releases.complete(at)]
    serves = wanted[0] if wanted else None
    answer: Args = {
        "set_up": files.read_json(at.record) is not None,
        "release": serves,
        "stopped": files.read_json(at.stopped),
        "pending": pending.look(at),
        "lock": lock,
        "freeze": freeze.read(at),
        # What a session is making is none.
        "leftovers": [] if lock else [one.text for one in leftovers.find(at)],
        "last": entries[-1] if entries else None,
        "cut_off": journal.cut_off(entries, serves, whole),
    }
    if wanted is None:
        return answer
    release, slot = wanted
    state = systemd.state(at.unit(release, slot))
    manifest = files.read_json(releases.manifest_path(at, release)) or {}
    problem = health.ask_socket(at.socket(release, slot), health.Probe.of(args["probe"]))
    running = systemd.running(at)
    return {
        **answer,
        "version": manifest.get("version", ""),
        "age_seconds": _age(state),
        "active": state.active,
        "healthy": not problem,
        "problem": problem,
        "workers": systemd.workers(state.main_pid),
        "memory_bytes": state.memory_bytes or systemd.memory_of_processes(state.main_pid),
        "restarts": state.restarts,
        "main_pid": state.main_pid,
        "also_running": [r for r, s in running if (r, s) != wanted],
        "rollback": journal.rollback_target(entries, release, whole),
    }


def _age(state: systemd.UnitState) -> Optional[float]:
    """Seconds for which the unit has been up, whatever this host's clock says."""
    if state.since_monotonic is None or not state.is_up:
        return None
    return round(time.clock_gettime(time.CLOCK_MONOTONIC) - state.since_monotonic, 1)


def list_releases(ctx: Context, args: Args) -> Args:
    at = Layout(args["app"], Path(args["base"]))
    whole = releases.complete(at)
    return {
        "releases": [
            {key: manifest.get(key) for key in ("release", "version", "seq", "created", "who")}
            for manifest in whole
        ],
        "current": releases.pointed(at.current),
        "previous": releases.pointed(at.previous),
        "rollback": journal.rollback_target(
            journal.read(at.journal),
            releases.pointed(at.current),
            [manifest["release"] for manifest in whole],
        ),
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
        for slot in SLOTS
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
        "leftovers": [one.text for one in leftovers.find(at)],
        "index": _index_complaint(ctx, at, args),
        "nginx_complaint": nginx.check(ctx) if shutil.which("nginx") else "",
    }


def _index_complaint(ctx: Context, at: Layout, args: Args) -> str:
    """What this host's pip says when it asks the index for a package; "" if it answers."""
    pip = PIP / args["pip_version"] / "pip"
    if not pip.exists():
        return ""  # the first deploy brings it
    done = children.run(
        ctx,
        [sys.executable, "-I", str(pip), "index", "versions", "pip", "--disable-pip-version-check"],
        timeout_seconds=_INDEX_SECONDS,
        env={
            **package_index.for_pip(args["index_environment"]),
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "1",
        },
        step="mirror",
    )
    if done.status == 0:
        return ""
    known = pip_output.classify_pip_output(done.output)
    return known[1] if known else (done.output.splitlines() or ["pip failed"])[-1]
