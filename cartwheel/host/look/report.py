"""What serves, since when, how well; the history; the logs. Changes nothing."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from cartwheel.host import layout, recover
from cartwheel.host.layout import OLD_SLOTS, Layout, content_of
from cartwheel.host.look import parts
from cartwheel.host.process import health
from cartwheel.host.release import downloads, install, installer
from cartwheel.host.state import freeze, journal, pending, releases
from cartwheel.host.system import children, files, systemd
from cartwheel.host.system.context import ContactLost, Context, OpError
from cartwheel.host.web import front_door, nginx, nginx_config
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.examine import Examination, Examine
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.status import AskStatus, Disk, Nginx, Serving, Status

Args = Dict[str, Any]

_AT_ONCE = 5  # most of it waits for a program or an answer
_LOOKS = 3  # a deploy switches at most once in so short a time; a rollback may follow it
_LISTED = ("release", "version", "seq", "created", "who", "cartwheel")  # of each release
_FOLLOW_SECONDS = 365 * 86400.0
_INDEX_SECONDS = 60.0


def status(ctx: Context, request: AskStatus) -> Status:
    """One host's line of `fab status`: what should serve, and whether it does."""
    at = ctx.at
    for _look in range(_LOOKS):
        wanted = recover.serving(at)
        answer = _status_of(at, wanted, request)
        if recover.serving(at) == wanted:  # else a deploy has switched meanwhile
            break
    return answer


def _status_of(at: Layout, wanted: Optional[Tuple[str, str]], asked: AskStatus) -> Status:
    """What waits for programs and for the application is asked side by side."""
    units = [nginx.UNIT, at.boot_unit.name, *([at.unit(*wanted)] if wanted else [])]
    release, current = wanted[0] if wanted else None, releases.pointed(at.current)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asking_states = pool.submit(systemd.states, units)
        asking_instances = pool.submit(systemd.instances, at)
        asking_leftovers = pool.submit(parts.left_over, at)
        problem = pool.submit(_problem, at, wanted, asked)
        front = pool.submit(_front, at, wanted, asked)
        # A broken disk is told by what cannot be read from it.
        disk = _disk(at)
        entries = journal.read(at.journal)
        cut_off = releases.cut_off(at, release, entries)
    states = asking_states.result()
    others = {one: how for one, how in asking_instances.result().items() if one != wanted}
    lock, leftovers = asking_leftovers.result()
    return Status(
        release=release,
        content=content_of(release) if release else None,
        version=releases.manifest(at, release).get("version", "") if release else "",
        current=current,
        not_whole=releases.problem(at, current) if current else "",
        rollback=releases.rollback_target(at, release, entries),
        cut_off=cut_off,
        cut_off_content=content_of(cut_off) if cut_off else None,
        last=entries[-1] if entries else None,
        set_up=files.read_json(at.record) is not None,
        stopped=files.read_record(Stopped, at.stopped),
        pending=pending.look(at),
        lock=lock,
        freeze=freeze.read(at),
        leftovers=leftovers,
        also_running=tuple(one[0] for one in others if others[one] != systemd.STOPPING),
        stopping=tuple(one[0] for one in others if others[one] == systemd.STOPPING),
        nginx=_nginx(at, states[nginx.UNIT]),
        boot=states[at.boot_unit.name].unit_file,
        boot_unit=at.boot_unit.name,
        disk=disk,
        serving=_serving(states[at.unit(*wanted)], problem.result(), front.result())
        if wanted
        else None,
    )


def _problem(at: Layout, wanted: Optional[Tuple[str, str]], asked: AskStatus) -> str:
    """What is wrong with what the instance says on its own socket."""
    return health.ask_socket(at.socket(*wanted), asked.probe) if wanted else ""


def _front(at: Layout, wanted: Optional[Tuple[str, str]], asked: AskStatus) -> str:
    """What is wrong with what nginx passes on. Asked beside the socket, so that an instance that
    hangs is waited for once (settings: health.timeout_seconds)."""
    if wanted is None:
        return ""
    return front_door.look(at, asked.probe, _port(at, asked.listen), wanted[0])


def _port(at: Layout, wanted: int) -> int:
    """Where nginx listens for the site as it is installed; the settings may be ahead of it."""
    own = str(nginx.site(at))
    ports = [port for one in nginx_config.servers() if one.file == own for port in one.ports]
    return wanted if wanted in ports or not ports else ports[0]


def _nginx(at: Layout, state: systemd.UnitState) -> Nginx:
    return Nginx(
        active=state.active,
        unit_file=state.unit_file,
        site=nginx.site(at).is_file(),
        token=front_door.known_token(at) is not None,
    )


def _serving(state: systemd.UnitState, problem: str, front: str) -> Serving:
    return Serving(
        age_seconds=_age(state),
        active=state.active,
        sub=state.sub,
        result=state.result,
        workers=systemd.workers(state.main_pid),
        suspended=systemd.suspended(state.main_pid),
        memory_bytes=state.memory_bytes or systemd.memory_of_processes(state.main_pid),
        restarts=state.restarts,
        main_pid=state.main_pid,
        problem=problem,
        front=front,
        healthy=not problem,
    )


def _disk(at: Layout) -> Disk:
    free_bytes, free_inodes = parts.free_on(at.root)
    flags = os.statvfs(parts.existing(at.root)).f_flag
    return Disk(free_bytes, free_inodes, read_only=bool(flags & os.ST_RDONLY))


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


def examine(ctx: Context, request: Examine) -> Examination:
    """What `fab doctor` needs beyond the facts of a probe."""
    at = ctx.at
    return Examination(
        status=status(ctx, request.status),
        damage={release: tuple(found) for release, found in releases.damage(at).items()},
        index=_index_complaint(ctx, request),
        cache_bytes=downloads.size_bytes(at),
        nginx_complaint=nginx.check(ctx) if shutil.which("nginx") else None,
    )


def _index_complaint(ctx: Context, asked: Examine) -> Optional[str]:
    """What this host's installer says when it asks the index for a package; "" if it answers,
    None where there is nothing to ask with yet."""
    at, pip = ctx.at, layout.PIP / asked.pip_version / "pip"
    if asked.installer == "pip" and not pip.exists():
        return None  # the first deploy brings it
    try:
        chosen = installer.of(to_json(asked))
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
